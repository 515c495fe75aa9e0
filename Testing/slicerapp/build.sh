#!/usr/bin/env bash
# Build a real SlicerApp 5.12 from source, in a chroot of Debian testing (forky): its VTK 9.6, Qt 6, ITK 5.4, PythonQt
# 4.1 and Python 3.14 stand in for Slicer's superbuild.     build.sh WORK [STEP...]     needs root, 12 GB and a network
# that reaches a Debian mirror. No STEP: all of them, in order; each can be repeated.
#   WORK   a folder outside every checkout
#   SLICER_GIT CTK_GIT LAUNCHER_GIT SEM_GIT ADDON_GIT   (for `sources`) clones or URLs of Slicer/Slicer, commontk/CTK,
#          commontk/AppLauncher, Slicer/SlicerExecutionModel and Slicer/vtkAddon; default: GitHub
#   DEBIAN_MIRROR  default: this machine's own;   JOBS  compilers at a time (default: cores + 2)
#   OPT    how Slicer itself is compiled (default -O0: a quarter faster to build than -O1, the libraries under it are
#          optimized anyway)
#   WITHOUT  loadable modules to leave out (default: five that nothing here needs), semicolons between them
# Measured on two cores, most of whose time other work did not get (minutes): chroot 3, sources 0 (local clones), deps 1,
#   pythonqt 2 for the generator and 9 for the wrappers beside another build, ctk 7 + 2 for the designer plugins,
#   configure 1, slicer about 40 with a precompiled Qt header in the last third (1.3 s instead of 2.8 s of CPU for a file
#   that includes Qt; not part of this recipe), so perhaps 45. Disk: 8 GB.
set -eu
W=$(realpath -m "$1"); shift; [ $# -gt 0 ] || set -- chroot sources deps pythonqt ctk configure slicer
R=$W/forky; B=$W/b; mkdir -p "$W" "$B"; J=${JOBS:-$(($(nproc) + 2))}
MIRROR=${DEBIAN_MIRROR:-}
if [ -z "$MIRROR" ]; then # the first of this machine's own that has the suite
  for m in $(grep -rhoE 'https?://[^] ]+/debian/?' /etc/apt/sources.list /etc/apt/sources.list.d 2>/dev/null | sort -u); do
    /usr/lib/apt/apt-helper download-file "${m%/}/dists/forky/Release" /tmp/forky-release.$$ >/dev/null 2>&1 && { MIRROR=${m%/}; break; }
  done; rm -f /tmp/forky-release.$$
fi
inside() { chroot "$R" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive bash -ec "$*"; }
mounts() {
  for m in proc sys dev dev/pts dev/shm tmp; do mountpoint -q "$R/$m" || mount --bind "/$m" "$R/$m"; done
  case "$W/" in /tmp/*) ;; *) mkdir -p "$R$W"; mountpoint -q "$R$W" || mount --bind "$W" "$R$W" ;; esac
}
# mold, because GNU ld took 5 to 28 s for many libraries and had not ended one (SlicerBaseCLI) after 70 s of CPU.
flags() { echo "-Wno-dev -DCMAKE_LINKER_TYPE=MOLD -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_STANDARD=17 -DBUILD_TESTING=OFF -DCMAKE_CXX_FLAGS_RELEASE=$1\\ -DNDEBUG -DCMAKE_C_FLAGS_RELEASE=$1\\ -DNDEBUG"; }
L=/usr/lib/x86_64-linux-gnu
P="-DPYTHONQT_INSTALL_DIR=/usr -DPYTHON_INCLUDE_DIR=/usr/include/python3.14 -DPYTHON_LIBRARY=$L/libpython3.14.so -DPYTHON_EXECUTABLE=/usr/bin/python3"
[ ! -d "$R/usr" ] || mounts
for step in "$@"; do
  start=$(date +%s)
  case $step in
  chroot)
    apt-get install -y -qq debootstrap >/dev/null
    [ -e /usr/share/debootstrap/scripts/forky ] || ln -s sid /usr/share/debootstrap/scripts/forky # older debootstraps do not know it
    [ -e "$R/usr/bin/apt-get" ] || debootstrap --variant=minbase forky "$R" "${MIRROR:?name a Debian mirror in DEBIAN_MIRROR}"
    mounts
    cp -r /etc/apt/apt.conf.d "$R/etc/apt/" 2>/dev/null || true; cp /etc/resolv.conf /etc/hosts "$R/etc/" 2>/dev/null || true
    echo "deb-src $MIRROR forky main" > "$R/etc/apt/sources.list.d/source.list"
    # libfftw3-dev: Debian's ITK links it without depending on it
    inside "apt-get update -qq && apt-get install -y -qq --no-install-recommends build-essential cmake ninja-build git patch python3-dev python3-venv python3-numpy \
      libvtk9-dev libvtk9-qt-dev python3-vtk9 libinsighttoolkit5-dev libfftw3-dev libpythonqt-dev libteem-dev libarchive-dev libjsoncpp-dev rapidjson-dev \
      qt6-base-dev qt6-base-private-dev qt6-5compat-dev qt6-declarative-dev qt6-multimedia-dev qt6-scxml-dev qt6-svg-dev qt6-tools-dev \
      xvfb xauth xdotool imagemagick libgl1-mesa-dri mold python3-scipy python3-pydicom python3-requests python3-pip" ;;
  sources)
    for pair in src:"${SLICER_GIT:-https://github.com/Slicer/Slicer}" CTK:"${CTK_GIT:-https://github.com/commontk/CTK}" \
      AppLauncher:"${LAUNCHER_GIT:-https://github.com/commontk/AppLauncher}" SEM:"${SEM_GIT:-https://github.com/Slicer/SlicerExecutionModel}" \
      vtkAddon:"${ADDON_GIT:-https://github.com/Slicer/vtkAddon}"; do
      d=$W/${pair%%:*}; [ -d "$d" ] || git clone -q "${pair#*:}" "$d"; done
    [ ! -e "$W/src/.patched" ] || continue
    git -C "$W/CTK" checkout -q 5056664a20a3 # what Slicer 5.12.3's superbuild names; later ones want a PythonQt of their own
    (cd "$W/src" && git checkout -q -f v5.12.3
     # ITK's remote modules that Debian leaves out, and what only they serve (grow from seeds, fill between slices, MGH and Scanco files)
     sed -i '/^  MGHIO$/d; /^  IOScanco$/d' Libs/ITKFactoryRegistration/CMakeLists.txt
     sed -i '/^  GrowCut$/d; /^  vtkITKGrowCut.cxx$/d; /MorphologicalContourInterpolat/d' Libs/vtkITK/CMakeLists.txt
     rm -f Libs/vtkITK/vtkITKGrowCut.* Libs/vtkITK/vtkITKMorphologicalContourInterpolator.*
     # only Slicer's own ITK has that header
     sed -i 's|^#include "itkNamespace.h"|#if __has_include("itkNamespace.h")\n#include "itkNamespace.h"\n#endif|' Libs/vtkITK/vtkITK.h Libs/ITKFactoryRegistration/itkFactoryRegistration.h
     # Python 3.14 dropped the private calls by which Slicer sets sys.argv
     python3 - Base/QTCore/qSlicerCoreApplication.cxx <<'PATCH'
import re, sys
text = open(sys.argv[1]).read()
setArgv = '''    PyObject* words = PyList_New(0);
    for (int i = 0; i < pythonArgc; i++)
    {
      PyObject* word = PyUnicode_FromWideChar(pythonArgv[i], -1);
      PyList_Append(words, word);
      Py_XDECREF(word);
    }
    PySys_SetObject("argv", words);
    Py_DECREF(words);
'''
old = r"    PyConfig config;\n    PyConfig_InitPythonConfig\(&config\);\n.*?_PyInterpreterState_SetConfig.*?\n    PyConfig_Clear\(&config\);\n"
open(sys.argv[1], "w").write(re.sub(old, lambda _: setArgv, text, flags=re.S))
PATCH
     # packaging wants the superbuild's Python
     sed -i '/SlicerCPack/d' CMake/LastConfigureStep/CMakeLists.txt
     touch .patched) ;;
  deps)
    # VTK's Qt modules are not wrapped by Debian; vtkAddon's wrapping asks for their hierarchy files all the same.
    inside "grep -oh 'hierarchy/VTK/[A-Za-z0-9]*-hierarchy.txt' $L/cmake/vtk-9.6/VTK-vtk-module-properties.cmake | while read f; do [ -e $L/vtk-9.6/\$f ] || { mkdir -p $L/vtk-9.6/hierarchy/VTK; touch $L/vtk-9.6/\$f; }; done
      [ -e $L/libRapidJSON.a ] || ar cr $L/libRapidJSON.a # headers only, but Slicer links it by that name
      cd $L; for f in lib[Ii][Tt][Kk]*-5.4.so; do n=\${f%-5.4.so}.so; [ -e \$n ] || ln -s \$f \$n; done" # and ITK without its version
    O=$(flags -O1)
    inside "cmake -G Ninja -S $W/SEM -B $B/SEM $O -DBUILD_SHARED_LIBS=ON -DITK_DIR=$L/cmake/ITK-5.4 -DSlicerExecutionModel_USE_JSONCPP=OFF -DSlicerExecutionModel_USE_SERIALIZER=OFF && ninja -j$J -C $B/SEM
      cmake -G Ninja -S $W/vtkAddon -B $B/vtkAddon $O -DBUILD_SHARED_LIBS=ON -DVTK_DIR=$L/cmake/vtk-9.6 -DvtkAddon_WRAP_PYTHON=ON -DVTK_WRAP_PYTHON=ON $P && ninja -j$J -C $B/vtkAddon
      cmake -G Ninja -S $W/AppLauncher -B $B/AppLauncher $O -DCTKAppLauncher_QT_VERSION=6 -DCTKAppLauncher_VISIBILITY_HIDDEN=OFF -DCTKAppLauncher_BUILD_STATIC=OFF && ninja -j$J -C $B/AppLauncher CTKAppLauncherLib" ;;
  pythonqt)
    # Debian's libPythonQt_QtAll is an empty shell (its build sets options that do not exist): no QPushButton in Python.
    # Generate the wrappers from the same source for the Qt that is there, and put the library in its place.
    mkdir -p "$W/pythonqt"
    inside "cd $W/pythonqt && { [ -d source ] || { apt-get source -qq pythonqt && mv \$(ls -d */ | head -1) source; }; }
      # CTK's own PythonQt shows the members of enumerations that are declared as flags only (ctkPathLineEdit.Dirs); so must this.
      python3 - source/src/PythonQtClassInfo.cpp <<'PATCH'
import re, sys
text = open(sys.argv[1], newline='').read()
text = re.sub(r' *// we do not want flags[^\n]*\n *if \(e\.isFlag\(\)\)\r?\n *continue;\r?\n', '', text)
text = text.replace('if (escapeReservedNames(e.key(j)) == memberName) {', 'if (!found && escapeReservedNames(e.key(j)) == memberName) {')
open(sys.argv[1], 'w', newline='').write(text)
PATCH
      cmake -G Ninja -S source/generator -B generator $(flags -O1) -DPythonQtGenerator_QT_VERSION=6 && ninja -j$J -C generator
      [ -d out/generated_cpp ] || ./generator/PythonQtGenerator --output-directory=out >generate.log 2>&1
      cmake -G Ninja -S source -B build $(flags -O0) -DPythonQt_QT_VERSION=6 -DPythonQt_GENERATED_PATH=$W/pythonqt/out/generated_cpp \
        -DPythonQt_Wrap_Qtcore=ON -DPythonQt_Wrap_Qtgui=ON -DPythonQt_Wrap_Qtnetwork=ON -DPythonQt_Wrap_Qtsvg=ON -DPythonQt_Wrap_Qtuitools=ON -DPythonQt_Wrap_Qtxml=ON && ninja -j$J -C build PythonQt_QtAll
      install -m 644 build/src/libPythonQt.so.4.1.0 build/extensions/PythonQt_QtAll/libPythonQt_QtAll.so.4.1.0 $L/" ;;
  ctk)
    inside "cmake -G Ninja -S $W/CTK -B $B/CTK $(flags -O1) -DCTK_SUPERBUILD=OFF -DCTK_QT_VERSION=6 -DCTK_BUILD_QTDESIGNER_PLUGINS=ON -DCTK_ENABLE_Widgets=OFF \
      -DCTK_LIB_Core=ON -DCTK_LIB_Widgets=ON -DCTK_LIB_Visualization/VTK/Core=ON -DCTK_LIB_Visualization/VTK/Widgets=ON -DCTK_LIB_Visualization/VTK/Widgets_USE_TRANSFER_FUNCTION_CHARTS=ON \
      -DCTK_LIB_ImageProcessing/ITK/Core=ON -DCTK_LIB_PluginFramework=OFF -DCTK_PLUGIN_org.commontk.eventbus=OFF -DCTK_APP_ctkDICOM=OFF -DCTK_LIB_DICOM/Core=OFF -DCTK_LIB_DICOM/Widgets=OFF -DCTK_USE_QTTESTING=OFF \
      -DCTK_LIB_Scripting/Python/Core=ON -DCTK_LIB_Scripting/Python/Core_PYTHONQT_USE_VTK=ON -DCTK_LIB_Scripting/Python/Core_PYTHONQT_WRAP_QTALL=ON -DCTK_LIB_Scripting/Python/Widgets=ON -DCTK_ENABLE_Python_Wrapping=ON -DPYTHONQT_LIBUTIL=$L/libPythonQt_QtAll.so \
      $P -DVTK_DIR=$L/cmake/vtk-9.6 && ninja -j$J -C $B/CTK
      sed -i 's/ITKInternalEigen3::Eigen;//' $B/CTK/CTKExports.cmake" ;; # ITK's own Eigen is no target outside ITK
  configure)
    inside "git config --global --add safe.directory '*'
      cmake -G Ninja -S $W/src -B $B/Slicer $(flags "${OPT:--O0}") -DSlicer_SUPERBUILD=OFF -DCMAKE_POLICY_VERSION_MINIMUM=3.5 -DSlicer_REQUIRED_QT_VERSION=6.8 -DQt6_DIR=$L/cmake/Qt6 -DSlicer_USE_SYSTEM_QT=ON -DSlicer_REQUIRED_PYTHON_VERSION=3.14.0 \
      -DSlicer_BUILD_DOCUMENTATION=OFF -DSlicer_BUILD_CLI=OFF -DSlicer_BUILD_CLI_SUPPORT=OFF -DSlicer_BUILD_EXTENSIONMANAGER_SUPPORT=OFF -DSlicer_BUILD_APPLICATIONUPDATE_SUPPORT=OFF \
      -DSlicer_BUILD_DICOM_SUPPORT=OFF -DSlicer_BUILD_DIFFUSION_SUPPORT=OFF -DSlicer_BUILD_I18N_SUPPORT=OFF -DSlicer_BUILD_USAGE_LOGGING_SUPPORT=OFF -DSlicer_BUILD_WEBENGINE_SUPPORT=OFF \
      -DSlicer_BUILD_QT_DESIGNER_PLUGINS=ON -DSlicer_BUILD_PARAMETERSERIALIZER_SUPPORT=OFF -DSlicer_USE_QtTesting=OFF -DSlicer_USE_SimpleITK=OFF -DSlicer_BUILD_MULTIMEDIA_SUPPORT=OFF \
      -DSlicer_USE_VTK_DEBUG_LEAKS=OFF -DSlicer_USE_NUMPY=OFF -DSlicer_USE_SCIPY=OFF -DSlicer_USE_PYTHONQT_WITH_OPENSSL=OFF -DSlicer_USE_TBB=OFF -DSlicer_VTK_SMP_IMPLEMENTATION_TYPE=Sequential \
      -DSlicer_USE_PYTHONQT=ON -DSlicer_BUILD_QTLOADABLEMODULES=ON -DSlicer_BUILD_QTSCRIPTEDMODULES=ON -DSlicer_INSTALL_DEVELOPMENT=OFF -DSlicer_USE_CTKAPPLAUNCHER=OFF '-DSlicer_QTLOADABLEMODULES_DISABLED=${WITHOUT-CropVolume;GeneralizedReformat;Reformat;SceneViews;VolumeRendering}' \
      -DCTK_DIR=$B/CTK -DVTK_DIR=$L/cmake/vtk-9.6 -DITK_DIR=$L/cmake/ITK-5.4 -DvtkAddon_DIR=$B/vtkAddon -DvtkAddon_CMAKE_DIR=$W/vtkAddon/CMake -DSlicerExecutionModel_DIR=$B/SEM -DCTKAppLauncherLib_DIR=$B/AppLauncher \
      -DTeem_DIR=/usr/lib/Teem-1.12.0 -DVTK_WRAP_PYTHON=ON -DSlicer_FORCED_REVISION=0 -DSlicer_FORCED_WC_LAST_CHANGED_DATE=2026-01-01 $P" ;;
  slicer)
    # what the launcher would put into the environment; this way child processes do not inherit it
    printf '%s\n' "$B/Slicer/bin" "$B/Slicer/bin/Python" "$B/Slicer/lib/Slicer-5.12/qt-loadable-modules" "$B/Slicer/lib/Slicer-5.12/qt-loadable-modules/Python" \
      "$B/Slicer/lib/Slicer-5.12/qt-scripted-modules" "$B/CTK/bin" "$B/CTK/bin/Python" "$B/vtkAddon" > "$R/usr/local/lib/python3.14/dist-packages/slicerapp.pth"
    ln -sf /usr/bin/python3 "$R/usr/local/bin/PythonSlicer" # becomes sys.executable
    inside "ninja -C $B/Slicer -j$J -k 0 ${TARGETS:-}" ;;
  *) echo "unknown step: $step" >&2; exit 2 ;;
  esac
  echo "$step: $(( $(date +%s) - start )) s"
done
