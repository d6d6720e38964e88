# The C++ unit tests: all of native/ but the addon itself, in one program that needs no Node, under AddressSanitizer and
# UndefinedBehaviorSanitizer. Compiled again is only what changed.
OUT := .sandloom/native-tests
SOURCES := $(shell find native -name '*.cc' -not -path 'native/build/*' -not -path 'native/addon/*' -not -path 'native/third_party/*')
OBJECTS := $(SOURCES:%.cc=$(OUT)/%.o)
SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all
CXXFLAGS := -std=c++20 -g -O1 -fno-omit-frame-pointer -Wall -Wextra -Werror -Inative -isystem native/third_party -MMD -MP $(SANITIZERS)

$(OUT)/native-tests: $(OBJECTS)
	$(CXX) $(SANITIZERS) -pthread -o $@ $^ -ldl

$(OUT)/%.o: %.cc scripts/native-tests.mk
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c -o $@ $<

-include $(OBJECTS:.o=.d)
