# resnet.c - `make help` lists the targets.
#
# Variables: CC=gcc|clang   OPT=-O2   CFLAGS= LDFLAGS= (yours, put before ours)   BUILDDIR=build/$(BUILD)
#            BUILD=release|debug|asan|ubsan|tsan   PREFIX=/usr/local   DESTDIR=   JOBS=2 (of check-all)
#            IMAGES=no (to build without libjpeg-turbo and libpng)   PKG_CONFIG=pkg-config (the target's)
#            CUDA=1 (the backend cuda, by NVCC=nvcc)   CUDA_ARCHS='sm_75 sm_80 sm_86 sm_89 sm_90'
#            CUDNN_ROOT=FOLDER (where cuDNN and cuBLAS are, if they are not found)   CUDNN=no (to build without)
# Release programs stand in the project's root; those of any other build in $(BUILDDIR)/bin.

BUILD    ?= release
BUILDDIR ?= build/$(BUILD)
CC       ?= cc
PREFIX   ?= /usr/local
JOBS     ?= 2
PYTHON   ?= python3

OPT_release = -O2
OPT_debug   = -Og
OPT_asan    = -O1
OPT_ubsan   = -O1
OPT_tsan    = -O1
ifeq ($(OPT_$(BUILD)),)
$(error BUILD=$(BUILD) is not one of release, debug, asan, ubsan, tsan)
endif
OPT ?= $(OPT_$(BUILD))

KIND_debug  = -g -DRN_DEBUG
KIND_asan   = -g -DRN_DEBUG -fsanitize=address -fno-omit-frame-pointer
KIND_ubsan  = -g -DRN_DEBUG -fsanitize=undefined -fno-sanitize-recover=all
KIND_tsan   = -g -DRN_DEBUG -fsanitize=thread

# Rule A2: nothing may change values.  base/base.h refuses again, for those who build without make.
UNSAFE := $(filter -Ofast -ffast-math -funsafe-math-optimizations -ffinite-math-only -fassociative-math \
    -freciprocal-math -fno-signed-zeros -fsingle-precision-constant -ffp-contract=fast -ffp-contract=on \
    -ffp-model=fast -fexcess-precision=fast -mfpmath=387 -mdaz-ftz,$(CFLAGS) $(OPT) $(CC))
ifneq ($(UNSAFE),)
$(error $(UNSAFE) changes results; see rule A2 in ref/ARITHMETIC.md)
endif

INCLUDES = -Iinclude -Isrc -I.
OURS     = -std=c11 -ffp-contract=off -fopenmp $(INCLUDES)
WARN     = -Wall -Wextra -Wpedantic
STRICT   = $(WARN) -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Werror
FLAGS    = $(strip $(OPT) $(WARN) $(CFLAGS) $(KIND_$(BUILD)) $(OURS))
LDLIBS   = -lm -lz
LIBS     = $(strip $(IMAGE_LIBS) $(LDLIBS) $(CUDNN_LIBS) $(CUDA_LIBS))
LINK     = $(strip $(CC) $(FLAGS) $(LDFLAGS))

# The optional libraries that this compiler can link with: flags for src/data/image_*.c, and libraries.
IMAGES   ?= auto
FOUND    := $(if $(filter no,$(IMAGES)),--,$(shell PKG_CONFIG='$(PKG_CONFIG)' sh tools/libraries.sh $(CC) $(CFLAGS) $(LDFLAGS)))
IMAGE_LIBS  := $(filter -l% -L% -Wl%,$(FOUND))
IMAGE_FLAGS := $(filter-out -- $(IMAGE_LIBS),$(FOUND))

# The backend cuda.  PTX of the last architecture is kept too, for GPUs that come later.
CUDA_ARCHS   ?= sm_75 sm_80 sm_86 sm_89 sm_90
CUDA_SOURCES := $(sort $(wildcard src/cuda/*.cu))
CUDA_FAST    := $(filter src/cuda/fast_%,$(CUDA_SOURCES))# by cuDNN and cuBLAS
NVCC         ?= nvcc
NVCC_EXACT   = -fmad=false -prec-div=true -prec-sqrt=true -ftz=false
NVCC_PTX     = $(patsubst sm_%,compute_%,$(lastword $(CUDA_ARCHS)))
NVCC_CODE    = $(foreach arch,$(CUDA_ARCHS),-gencode arch=$(arch:sm_%=compute_%),code=$(arch)) \
    -gencode arch=$(NVCC_PTX),code=$(NVCC_PTX)
NVCC_LINE    = $(strip $(NVCC) -O3 -std=c++17 $(NVCC_EXACT) --Werror all-warnings \
    -Xcompiler -fPIC,-Wall,-Wextra,-ffp-contract=off $(NVCC_FLAGS) $(NVCC_CODE) $(INCLUDES) $(CUDNN_FLAGS))
ifeq ($(filter-out 0 no,$(CUDA)),)
CUDA_USED  :=
else
CUDNN      ?= auto
CUDNN_ROOT ?=
CUDNN_FOUND := $(if $(filter no,$(CUDNN)),,$(shell CUDNN_ROOT='$(CUDNN_ROOT)' PKG_CONFIG='$(PKG_CONFIG)' sh tools/cudnn.sh $(NVCC)))
CUDNN_LIBS  := $(filter -l% -L% -Wl%,$(CUDNN_FOUND))
CUDNN_FLAGS := $(filter-out -- $(CUDNN_LIBS),$(CUDNN_FOUND))
CUDA_USED  := $(if $(CUDNN_FLAGS),$(CUDA_SOURCES),$(filter-out $(CUDA_FAST),$(CUDA_SOURCES)))
CUDA_HOME  ?= $(shell $(NVCC) --dryrun -c -x cu /dev/null 2>&1 | sed -n 's,^.. _HERE_=\(.*\)/bin$$,\1,p')
CUDA_LIBS  := $(patsubst %/libcudart_static.a,-L%,$(firstword $(wildcard $(CUDA_HOME)/lib64/libcudart_static.a \
    $(CUDA_HOME)/lib/libcudart_static.a $(CUDA_HOME)/targets/*/lib/libcudart_static.a))) \
    -lcudart_static -lrt -lpthread -ldl -lstdc++
endif

ifeq ($(origin CXX),default)
CXX      = c++
endif
EMULATED := $(BUILDDIR)/cuda# the backend cuda for a device without a GPU
OBJ      := $(BUILDDIR)/obj
BIN      := $(BUILDDIR)/bin
SOURCES  := $(sort $(wildcard src/*/*.c ref/*.c))
PARTS    := $(sort $(wildcard tools/*/*.c))
PROGRAMS := $(patsubst tools/%.c,%,$(sort $(wildcard tools/*.c)))
BENCHES  := $(patsubst benchmarks/%.c,%,$(sort $(wildcard benchmarks/*.c)))
TESTS    := $(patsubst tests/%.c,$(BUILDDIR)/tests/%,$(sort $(wildcard tests/test_*.c tests/slow_*.c tests/peers/*.c)))
LIB      := $(BUILDDIR)/libresnet.a
TOOLS    := $(BUILDDIR)/libtools.a
BUILT    := $(PROGRAMS:%=$(BIN)/%)
ROOT     := tools/..# names the root, since for make ./bench is `bench`, which measures
ifeq ($(BUILD),release)
BUILT    += $(PROGRAMS:%=$(ROOT)/%)
RUN      := .
else
RUN      := $(BIN)
endif
VERSION  := $(shell sed -n 's/^.define RN_VERSION "\(.*\)"/\1/p' include/resnet.h)

all: $(BUILT) ## build the library and the programs (the default)

# -- objects, library, programs ---------------------------------------------------------------------

# Holds the compiler and its flags; objects depend on it, so that a change of flags rebuilds them.
$(BUILDDIR)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(LINK))' | cmp -s - $@ || \
	    echo '$(subst ','\'',$(LINK))' >$@

# The same of what was found of the optional libraries, which only the readers of pictures and links depend on.
$(BUILDDIR)/libraries: FORCE
	@mkdir -p $(@D)
	@echo '$(FOUND)' | cmp -s - $@ || echo '$(FOUND)' >$@

$(OBJ)/%.o: %.c $(BUILDDIR)/flags
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(DEFINE) -MMD -MP -c -o $@ $<

# nvcc's command line, empty without CUDA=1: the library and what knows of the backend depend on it.
$(BUILDDIR)/cuda-flags: FORCE
	@mkdir -p $(@D)
	@echo '$(if $(CUDA_USED),$(NVCC_LINE))' | cmp -s - $@ || echo '$(if $(CUDA_USED),$(NVCC_LINE))' >$@

$(OBJ)/src/cuda/%.o: src/cuda/%.cu $(BUILDDIR)/cuda-flags
	@mkdir -p $(@D)
	$(NVCC_LINE) $(DEFINE) -MMD -MP -c -o $@ $<

CUDA_KNOWN := $(OBJ)/src/conform/backend.o $(BUILDDIR)/pic/src/conform/backend.o
$(CUDA_KNOWN): $(BUILDDIR)/cuda-flags
$(CUDA_KNOWN): private DEFINE = $(if $(CUDA_USED),-DRN_HAVE_CUDA)
$(OBJ)/src/cuda/table.o: private DEFINE = -DRN_CUDA_ARCHS='"$(CUDA_ARCHS)"'

# What --version says about the build.
$(OBJ)/tools/cli/help.o: private DEFINE = -DRN_BUILD_FLAGS='"$(subst ",,$(subst ',,$(strip $(OPT) $(CFLAGS) $(KIND_$(BUILD)) $(OURS))))"'

IMAGE_OBJ := $(patsubst %.c,$(OBJ)/%.o,$(filter src/data/image%,$(SOURCES)))
$(IMAGE_OBJ) $(IMAGE_OBJ:$(OBJ)/%=$(BUILDDIR)/pic/%): private DEFINE = $(IMAGE_FLAGS)
$(IMAGE_OBJ) $(IMAGE_OBJ:$(OBJ)/%=$(BUILDDIR)/pic/%): $(BUILDDIR)/libraries

$(TOOLS): $(PARTS:%.c=$(OBJ)/%.o)
$(LIB): $(SOURCES:%.c=$(OBJ)/%.o) $(CUDA_USED:%.cu=$(OBJ)/%.o) $(BUILDDIR)/cuda-flags
$(LIB) $(TOOLS):
	@rm -f $@
	$(AR) rcs $@ $(filter %.o,$^)

$(PROGRAMS:%=$(BIN)/%): $(BIN)/%: $(OBJ)/tools/%.o $(TOOLS) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LIBS)

# What measures parts of the library: not among the programs, for those who work on it.
$(BENCHES:%=$(BIN)/%): $(BIN)/%: $(OBJ)/benchmarks/%.o $(TOOLS) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LIBS)

# A real file, replaced only when it differs, and in one step, for it may be running.
$(PROGRAMS:%=$(ROOT)/%): $(ROOT)/%: $(BIN)/% FORCE
	@cmp -s $< $@ || { cp $< $@.new && mv -f $@.new $@; }
$(filter-out bench,$(PROGRAMS)): %: $(ROOT)/%

$(TESTS): $(BUILDDIR)/tests/%: $(OBJ)/tests/%.o $(TOOLS) $(LIB)
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ $(LIBS)

tests: $(TESTS) ## build the test programs, run nothing

# -- use --------------------------------------------------------------------------------------------

demo: all ## train on the built-in data, then evaluate the best checkpoint
	@sh tools/demo.sh $(RUN)

# The variables: docs/experiments/profiling-study.md
experiments: all ## the profiling study, exp1 to exp5; DATA= EXPERIMENTS="exp1 exp2" EXPERIMENT_FLAGS=--dry-run
	@sh tools/experiments.sh $(RUN) $(EXPERIMENT_FLAGS)

# -- checks -----------------------------------------------------------------------------------------

# Where there is a C++ compiler, and programs of this machine are built, tests/cuda.sh has something to judge.
EMULATED_TEST = $(if $(filter release debug,$(BUILD)),$(if $(shell command -v $(CXX)),$(EMULATED)/libcuda_emulated.so \
    $(EMULATED)/train $(EMULATED)/conform $(EMULATED)/strict))

test: all tests $(EMULATED_TEST) ## the tests: under three minutes, no network, no Python
	@sh tests/run.sh $(BUILDDIR) $(RUN)

check-all: ## everything: instruction sets, threads, sanitizers, compilers, lint, peers
	@MAKE='$(MAKE)' JOBS='$(JOBS)' sh tests/check-all.sh

# With BREAK=conv_dw and the like the backend is a plug-in in which that one gradient is wrong: the check
# must fail and say so.  A plug-in brings its own copy of what it calls.
gradcheck: all $(if $(BREAK),build/broken/$(BREAK).so) ## gradients against central differences; BREAK=NAME checks the check
	$(if $(BREAK),@echo 'with a broken $(BREAK):')
	$(RUN)/conform --grad$(if $(BREAK), --backend ./build/broken/$(BREAK).so)

build/broken/%.so: tests/broken/backend.c $(patsubst %.c,$(BUILDDIR)/pic/%.o,$(filter ref/% src/base/%,$(SOURCES)))
	@mkdir -p $(@D)
	$(LINK) -fPIC -shared -DBREAK=$* -o $@ $^ $(LIBS)

# By libFuzzer where the compiler FUZZ_CC has it, else by the program's own loop; FUZZ_SECONDS of it.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 60
FUZZ_SOURCES := tests/fuzz/fuzz_image.c src/data/png_write.c $(filter src/data/image% src/base/%,$(SOURCES))
FUZZ_FLAGS   := -g -O1 -DRN_DEBUG -fno-omit-frame-pointer -fno-sanitize-recover=undefined $(OURS) $(IMAGE_FLAGS)

fuzz-image: ## reads damaged pictures under the sanitizers for FUZZ_SECONDS=60
	@mkdir -p build/fuzz/image
	$(CC) $(FUZZ_FLAGS) -DFUZZ_ALONE -fsanitize=address,undefined -o build/fuzz/alone $(FUZZ_SOURCES) $(LIBS)
	build/fuzz/alone corpus build/fuzz/image
	if $(FUZZ_CC) $(FUZZ_FLAGS) -fsanitize=fuzzer,address,undefined -o build/fuzz/guided $(FUZZ_SOURCES) $(LIBS); then \
	    build/fuzz/guided -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -rss_limit_mb=2048 \
	        -print_final_stats=1 -artifact_prefix=build/fuzz/found- build/fuzz/image; \
	else build/fuzz/alone $(FUZZ_SECONDS); fi

# The backend cuda without a GPU: its sources compiled as C++ for the device of tests/cuda_emulated/, as a plug-in
# and built into two programs.  RN_CUDA_NOMINAL: small shapes meet the large tiles, and chunks of several leaves.
EMULATED_OBJ := $(patsubst src/cuda/%.cu,$(EMULATED)/%.o,$(CUDA_SOURCES)) \
    $(patsubst tests/cuda_emulated/%.cpp,$(EMULATED)/emulated/%.o,$(wildcard tests/cuda_emulated/*.cpp))
EMULATED_CXX = $(CXX) -O2 -std=c++17 -ffp-contract=off $(shell $(CXX) -march=native -E -x c++ /dev/null >/dev/null 2>&1 && \
    echo -march=native) -fPIC $(WARN) -Wno-unknown-pragmas -Wno-unknown-warning-option -Wno-maybe-uninitialized \
    -Itests/cuda_emulated -DRN_CUDA_NOMINAL=1 -DRN_HAVE_CUDNN -DRN_FAST_WORKSPACE=65536u -DRN_FAST_BLAS_BYTES=4096u $(INCLUDES)

cuda-emulated: $(EMULATED)/libcuda_emulated.so $(EMULATED)/train $(EMULATED)/conform $(EMULATED)/strict ## the backend cuda on an emulated device

$(EMULATED)/emulated/%.o: tests/cuda_emulated/%.cpp $(BUILDDIR)/flags
	@mkdir -p $(@D)
	$(EMULATED_CXX) -MMD -MP -c -o $@ $<

$(EMULATED)/%.o: src/cuda/%.cu $(BUILDDIR)/flags
	@mkdir -p $(@D)
	$(EMULATED_CXX) -MMD -MP -c -o $@ -x c++ $<

$(EMULATED)/backend.o: src/conform/backend.c $(BUILDDIR)/flags
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -DRN_HAVE_CUDA -MMD -MP -c -o $@ $<

$(EMULATED)/libcuda_emulated.so: tests/cuda_emulated/plugin.c $(EMULATED_OBJ) \
    $(patsubst %.c,$(BUILDDIR)/pic/%.o,$(filter src/base/%,$(SOURCES)))
	$(LINK) -fPIC -shared -o $@ $^ $(LIBS) -lstdc++ -lpthread

# What the emulated device itself must find.
$(EMULATED)/strict.o: tests/cuda_strict.cpp $(BUILDDIR)/flags
	@mkdir -p $(@D)
	$(EMULATED_CXX) -MMD -MP -c -o $@ $<

$(EMULATED)/strict: $(EMULATED)/strict.o $(EMULATED)/backend.o $(EMULATED_OBJ) $(LIB)
	$(LINK) -o $@ $^ $(LIBS) -lstdc++ -lpthread

$(EMULATED)/train $(EMULATED)/conform: $(EMULATED)/%: $(OBJ)/tools/%.o $(EMULATED)/backend.o $(EMULATED_OBJ) $(TOOLS) $(LIB)
	$(LINK) -o $@ $^ $(LIBS) -lstdc++ -lpthread

golden: all ## write tests/golden anew and show what changed
	@sh tests/bits.sh $(RUN) --write

lint: ## strict warnings are errors, with gcc and clang; sizes of files and functions
	@sh tools/lint.sh '$(STRICT) $(OURS) $(IMAGE_FLAGS)'
	@sh tools/stats.sh

# The build system is a convenience: one line of cc builds ./train as well.
bare: ## the one-line build, with gcc and clang, into build/bare
	@mkdir -p build/bare
	@for cc in gcc clang; do \
	    command -v $$cc >/dev/null || { echo "$$cc: not installed, skipped"; continue; }; \
	    echo "$$cc -O2 $(OURS) src/*/*.c ref/*.c tools/*/*.c tools/train.c $(LDLIBS)"; \
	    $$cc -O2 $(OURS) -o build/bare/train-$$cc src/*/*.c ref/*.c tools/*/*.c tools/train.c $(LDLIBS) || exit 1; \
	done

peers: build/peers/ready ## a Python environment with PyTorch and others, to compare with

build/peers/ready: tests/peers/requirements.txt
	$(PYTHON) -m venv build/peers
	build/peers/bin/python -m pip install --quiet --requirement tests/peers/requirements.txt
	@cp $< $@

# -- speed ------------------------------------------------------------------------------------------

# CASES=train,infer-224-b1  THREADS=1,2  NUMERICS=fp32  ISA=avx2  ROUNDS=3  RUNS=10  RIVALS=openvino
MEASURE = $(if $(CASES),--cases $(CASES)) $(if $(THREADS),--threads $(THREADS)) $(if $(ROUNDS),--rounds $(ROUNDS)) \
    $(if $(NUMERICS),--numerics $(NUMERICS)) $(if $(ISA),--isa $(ISA)) $(if $(RUNS),--runs $(RUNS)) --bench $(RUN)/bench

bench: all $(BIN)/layers ## speed, share of the peak and memory of every case; CASES= THREADS= NUMERICS= ROUNDS=
	@$(PYTHON) benchmarks/ours.py --layers $(BIN)/layers $(strip $(MEASURE))

bench-peers: all peers ## ratios to PyTorch, ONNX Runtime and OpenVINO, in turn; the same variables, and RIVALS=
	@$(PYTHON) benchmarks/peers.py $(strip $(MEASURE)) $(if $(RIVALS),--rivals $(RIVALS))

profile-peers: all peers ## ./profile beside torch.profiler, op by op; CASES=stock32,cifar THREADS= NUMERICS= ROUNDS= RUNS=
	@$(PYTHON) benchmarks/profile_peers.py $(if $(CASES),--cases $(CASES)) $(if $(THREADS),--threads $(THREADS)) \
	    $(if $(NUMERICS),--numerics $(NUMERICS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(RUNS),--runs $(RUNS))

# -- install ----------------------------------------------------------------------------------------

PIC    := $(SOURCES:%.c=$(BUILDDIR)/pic/%.o) $(CUDA_USED:%.cu=$(OBJ)/%.o)
SHARED := $(BUILDDIR)/libresnet.so.$(firstword $(subst ., ,$(VERSION)))

$(BUILDDIR)/pic/%.o: %.c $(BUILDDIR)/flags
	@mkdir -p $(@D)
	$(CC) $(FLAGS) $(DEFINE) -fPIC -MMD -MP -c -o $@ $<

$(SHARED): $(PIC)
	$(LINK) -shared -Wl,-soname,$(@F) -o $@ $^ $(LIBS)

install: all $(SHARED) ## install under $(DESTDIR)$(PREFIX): programs as resnet-NAME, libraries, headers
	@sh tools/install.sh '$(DESTDIR)$(PREFIX)' '$(PREFIX)' '$(VERSION)' $(BUILDDIR) '$(LIBS)' $(PROGRAMS)

# -- the rest ---------------------------------------------------------------------------------------

clean: ## remove what was built, but not build/peers, runs or data
	rm -rf $(filter-out build/peers,$(wildcard build/*))
	rm -rf $(addprefix $(BUILDDIR)/,obj pic bin cuda tests flags libraries cuda-flags libresnet.a) $(SHARED)
	rm -f $(PROGRAMS)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@sed -n 's/^# \(Variables.*\)/\1/p; s/^#\(  *[BCI][A-Z]*=.*\)/\1/p; s/^# \(Release programs.*\)/\1/p' Makefile

FORCE:
.PHONY: all cuda-emulated tests demo experiments test check-all gradcheck golden fuzz-image lint bare peers bench bench-peers \
    install clean help FORCE $(PROGRAMS)
.SECONDARY:
.DELETE_ON_ERROR:
-include $(CUDA_SOURCES:%.cu=$(OBJ)/%.d) $(EMULATED_OBJ:.o=.d) $(EMULATED)/backend.d $(EMULATED)/strict.d
-include $(SOURCES:%.c=$(OBJ)/%.d) $(PARTS:%.c=$(OBJ)/%.d) $(PROGRAMS:%=$(OBJ)/tools/%.d) $(BENCHES:%=$(OBJ)/benchmarks/%.d) \
    $(TESTS:$(BUILDDIR)/%=$(OBJ)/%.d) $(PIC:.o=.d)
