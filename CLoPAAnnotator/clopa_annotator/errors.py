"""Every error that the core raises on purpose, in one tree.

::

    ClopaError
    ├── InputError                 what came in cannot be used (exit code 2 on the command line)
    │   ├── ImageError             NaN, constant, empty, vector or 4D volume
    │   ├── PromptError            a prompt outside the image, of a wrong shape, not binary
    │   │   └── UnsupportedPrompt  the loaded model does not know this kind of prompt
    │   ├── GeometryError          two grids that should agree do not
    │   ├── ConfigError            a setting out of its range, an unknown name
    │   └── DatasetError           a dataset folder that cannot be read as one
    ├── SessionError               a session in the wrong state
    │   ├── NoImage                a prompt before an image
    │   ├── NothingToUndo
    │   ├── NothingToRedo
    │   ├── PredictionFailed       the network gave non-finite output or ran out of memory
    │   └── SuggestionStopped      a whole image was not looked at to the end
    ├── CacheError                 the annotation cache
    │   ├── CampaignLocked         another process writes to this campaign
    │   ├── ReadOnlyCampaign       the folder cannot be written
    │   ├── StorageFull            no room on the disk
    │   ├── CorruptRecord          a file on disk that is not what was written
    │   ├── UnknownCase            a case or version that the campaign does not have
    │   ├── ConfirmationConflict   one confirmation id with two different contents
    │   ├── AcceptedCase           a second person has accepted it; replacing it has to be meant
    │   ├── ReviewConflict         it changed, or somebody judged it, since the reviewer looked
    │   └── OwnCase                the reviewer is who confirmed it
    ├── ModelError                 a model folder that cannot be loaded
    │   ├── ModelNotPresent        not downloaded, or damaged
    │   └── LicenceNotAccepted
    ├── EpisodeError               an episode that cannot start or go on
    │   ├── EpisodeCancelled
    │   ├── DeviceWanted           a click needs the memory; the pass is repeated afterwards
    │   ├── NonFiniteLoss
    │   └── OutOfMemory
    ├── RegistryError              weights versions
    │   ├── UnknownVersion
    │   └── DeltaMismatch          a delta that does not fit this network
    └── EngineError                the engine process or the way to it
        ├── EngineUnreachable
        │   └── NotAnEngine        something else answers at the address
        ├── WrongToken
        ├── VersionMismatch
        ├── EngineFull
        ├── SessionExpired
        ├── CaseTaken              another annotator holds the case
        └── NotPermitted           the token's role does not allow this

A message is one or two sentences for the person in front of the screen: what happened, and what to do.
"""

from __future__ import annotations


class ClopaError(Exception):
    """Base of every error that the core raises on purpose."""


class InputError(ClopaError):
    """What came in cannot be used as it is."""


class ImageError(InputError):
    """The image cannot be annotated: not 3D, empty, constant or with non-finite voxels."""


class PromptError(InputError):
    """A prompt that does not fit the image or the session."""


class UnsupportedPrompt(PromptError):
    """The loaded model was not trained with this kind of prompt."""


class GeometryError(InputError):
    """Two voxel grids that should agree do not."""


class ConfigError(InputError):
    """A setting is out of its range or has an unknown name."""


class DatasetError(InputError):
    """A dataset folder cannot be read as one."""


class SessionError(ClopaError):
    """The session is in a state in which this cannot be done."""


class NoImage(SessionError):
    """A prompt came before an image."""


class NothingToUndo(SessionError):
    """There is no earlier state."""


class NothingToRedo(SessionError):
    """There is no undone state."""


class PredictionFailed(SessionError):
    """The network could not answer; the session is as it was before."""


class SuggestionStopped(SessionError):
    """Looking at a whole image ended before there was an answer."""


class CacheError(ClopaError):
    """The annotation cache could not do what was asked."""


class CampaignLocked(CacheError):
    """Another process is this campaign's writer."""


class ReadOnlyCampaign(CacheError):
    """The campaign folder cannot be written."""


class StorageFull(CacheError):
    """The disk has no room; nothing was acknowledged."""


class CorruptRecord(CacheError):
    """A file in the campaign is not what was written there."""


class UnknownCase(CacheError):
    """The campaign has no such case or version."""


class ConfirmationConflict(CacheError):
    """The same confirmation id came twice with different contents."""


class AcceptedCase(CacheError):
    """A second person has accepted this version; it is replaced only by somebody who says so."""


class ReviewConflict(CacheError):
    """What was to be judged has changed, or was judged by somebody else, meanwhile."""


class OwnCase(CacheError):
    """Nobody reviews what they confirmed themselves, unless the campaign's setting allows it."""


class ModelError(ClopaError):
    """A model folder cannot be loaded."""


class ModelNotPresent(ModelError):
    """The model is not on this machine, or its files are damaged."""


class LicenceNotAccepted(ModelError):
    """The model's licence has to be accepted first."""


class EpisodeError(ClopaError):
    """An episode cannot start or go on."""


class EpisodeCancelled(EpisodeError):
    """The episode was asked to stop."""


class DeviceWanted(EpisodeError):
    """A click needs the memory that a training pass holds; the pass is dropped and repeated."""


class NonFiniteLoss(EpisodeError):
    """The loss or a weight became NaN or infinite."""


class OutOfMemory(EpisodeError):
    """The device has too little memory for this episode, even with the smallest micro-batch."""


class RegistryError(ClopaError):
    """The weights registry could not do what was asked."""


class UnknownVersion(RegistryError):
    """The registry has no such weights version."""


class DeltaMismatch(RegistryError):
    """A delta's tensors do not fit the network; nothing was applied."""


class EngineError(ClopaError):
    """The engine, or the way to it, failed."""


class EngineUnreachable(EngineError):
    """No engine answers at this address."""


class NotAnEngine(EngineUnreachable):
    """Something answers at this address, a login page for instance, but no engine."""


class WrongToken(EngineError):
    """The engine does not accept the token."""


class VersionMismatch(EngineError):
    """Client and engine speak different versions of the interface."""


class EngineFull(EngineError):
    """The engine serves as many annotators as it can."""


class SessionExpired(EngineError):
    """The engine has given the session's place back."""


class CaseTaken(EngineError):
    """Another annotator is working on this case."""


class NotPermitted(EngineError):
    """The token's role does not allow this."""
