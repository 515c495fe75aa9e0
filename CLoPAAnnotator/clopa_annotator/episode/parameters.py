"""Which parameters an episode tunes: named selections over ``named_parameters()``.

Names come from ``named_parameters()`` and never from ``state_dict()``: nnU-Net's blocks register each layer
under several names, so that the state dict of a standard ResEnc-L has 956 keys for 264 tensors.

On that network (102,355,818 parameters, 8 input channels, 2 output channels) the paper's groups are

====  ======================================================================  ==========  ========
name  what                                                                    parameters  tensors
====  ======================================================================  ==========  ========
in    weight and bias of every instance norm (62 modules)                         27,648       124
cn    ``in``, the encoder's stem convolution, the decoder's segmentation layers   36,202       136
====  ======================================================================  ==========  ========

Without deep supervision only the last segmentation layer gets a gradient. The others stay in the group, as in
the authors' code, do not change, and so do not enter the delta.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import nn

from clopa_annotator.episode.episode_settings import check_group
from clopa_annotator.errors import ConfigError


def unwrap(network: nn.Module) -> nn.Module:
    """The network itself, out of ``torch.compile``'s wrapper if it has one."""
    inner = getattr(network, "_orig_mod", network)
    return inner if isinstance(inner, nn.Module) else network


def _instance_norms(network: nn.Module) -> Iterator[nn.Parameter]:
    norms = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
    for module in network.modules():
        if isinstance(module, norms):
            yield from module.parameters(recurse=False)


def _stem(network: nn.Module) -> Iterator[nn.Parameter]:
    stem = getattr(getattr(network, "encoder", None), "stem", None)
    # A plain encoder has no stem module; its first convolution is the one that sees the input channels.
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    convolutions = [m for m in (stem or network).modules() if isinstance(m, kinds)]
    if convolutions:
        yield from convolutions[0].parameters()


def _heads(network: nn.Module) -> Iterator[nn.Parameter]:
    layers = getattr(getattr(network, "decoder", None), "seg_layers", None)
    if isinstance(layers, nn.ModuleList):
        yield from layers.parameters()


def _last(network: nn.Module) -> Iterator[nn.Parameter]:
    layers = getattr(getattr(network, "decoder", None), "seg_layers", None)
    if isinstance(layers, nn.ModuleList) and len(layers):
        yield from layers[-1].parameters()


def _decoder(network: nn.Module) -> Iterator[nn.Parameter]:
    decoder = getattr(network, "decoder", None)
    encoder = getattr(network, "encoder", None)
    if isinstance(decoder, nn.Module) and isinstance(encoder, nn.Module):
        # nnU-Net's decoder registers the encoder as its child.
        shared = {id(p) for p in encoder.parameters()}
        yield from (p for p in decoder.parameters() if id(p) not in shared)


def _everything(network: nn.Module) -> Iterator[nn.Parameter]:
    yield from network.parameters()


_SELECTIONS: dict[str, tuple[Callable[[nn.Module], Iterator[nn.Parameter]], ...]] = {
    "in": (_instance_norms,),
    "cn": (_instance_norms, _stem, _heads),
    "stem": (_stem,),
    "heads": (_heads,),
    "last": (_last,),
    "decoder": (_decoder,),
    "all": (_everything,),
}


def select(network: nn.Module, group: str) -> dict[str, nn.Parameter]:
    """Parameters of a group by name, in the order of ``named_parameters()``; each tensor once.

    Args:
        network: an nnU-Net style U-Net, compiled or not.
        group: one of ``settings.GROUPS``, or several joined with "+".

    Raises:
        ConfigError: an unknown group, or one that this network has no parameters for.
    """
    check_group(group)
    inner = unwrap(network)
    chosen = {id(p) for name in group.split("+") for pick in _SELECTIONS[name] for p in pick(inner)}
    selected = {name: p for name, p in inner.named_parameters() if id(p) in chosen}
    if not selected:
        raise ConfigError(
            f'This network has no parameters in the group "{group}"; choose another one, for instance "all".'
        )
    return selected
