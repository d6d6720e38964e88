# The C++ unit tests: all of native/ but the addon itself, in one program that needs no Node, under AddressSanitizer and
# UndefinedBehaviorSanitizer; and beside it the programs that they start, and what feeds the parsers garbage. Compiled again is only
# what changed.
OUT := .sandloom/native-tests
find = $(shell find $(1:%=native/%) -name '*.cc')
objects = $(patsubst %.cc,$(OUT)/%.o,$(call find,$(1)))
LIBRARY := $(call objects,base memory network)
TESTS := $(call objects,test)
PROGRAMS := $(call objects,programs fuzz)
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
INCLUDES := -Inative -isystem native/third_party -isystem native/third_party/libfabric
CXXFLAGS := -std=c++20 -g -O1 -fno-omit-frame-pointer -Wall -Wextra -Werror -DSANDLOOM_FUZZ_DRIVER $(INCLUDES) -MMD -MP $(SANITIZERS)
LINK = $(CXX) $(SANITIZERS) -pthread -o $@ $^ -ldl

all: $(OUT)/native-tests $(OUT)/fabric_server $(OUT)/wire_fuzz

$(OUT)/native-tests: $(TESTS) $(LIBRARY)
	$(LINK)

$(OUT)/fabric_server: $(OUT)/native/programs/fabric_server.o $(LIBRARY)
	$(LINK)

$(OUT)/wire_fuzz: $(OUT)/native/fuzz/wire_fuzz.o $(LIBRARY)
	$(LINK)

$(OUT)/%.o: %.cc scripts/native-tests.mk
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c -o $@ $<

.PHONY: all
-include $(TESTS:.o=.d) $(LIBRARY:.o=.d) $(PROGRAMS:.o=.d)
