#include "memory/code_file.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

TEST_SUITE("code file") {
  TEST_CASE("what is written is read, modules without code too") {
    const TemporaryFolder folder;
    const std::vector<std::byte> first(10'000, std::byte{1});
    const std::vector<std::byte> third(3, std::byte{3});
    const std::array<ModuleCode, 3> modules = {{{11, first}, {22, {}}, {33, third}}};
    writeCodeFile(folder.file("code"), modules);
    const CodeFile file(folder.file("code"));
    REQUIRE(file.modules().size() == 3);
    for (std::size_t index = 0; index < modules.size(); ++index) {
      CHECK(file.modules()[index].wasm_hash == modules[index].wasm_hash);
      CHECK(std::ranges::equal(file.modules()[index].code, modules[index].code));
    }
  }

  TEST_CASE("a file of no modules is one") {
    const TemporaryFolder folder;
    writeCodeFile(folder.file("code"), {});
    CHECK(CodeFile(folder.file("code")).modules().empty());
  }

  TEST_CASE("a damaged file is refused") {
    const TemporaryFolder folder;
    const std::string path = folder.file("code");
    const std::vector<std::byte> code(5000, std::byte{7});
    writeCodeFile(path, std::array<ModuleCode, 2>{{{1, code}, {2, code}}});
    SUBCASE("magic") { corrupt(path, 0); }
    SUBCASE("module count") { corrupt(path, 8); }
    SUBCASE("a huge module count") { corrupt(path, 15); }
    SUBCASE("hash") { corrupt(path, 16); }
    SUBCASE("hash of a module") { corrupt(path, 24); }
    SUBCASE("length of code") { corrupt(path, 32); }
    SUBCASE("code") { corrupt(path, 9000); }
    SUBCASE("truncated") { std::filesystem::resize_file(path, 9000); }
    SUBCASE("longer") { std::filesystem::resize_file(path, 11'000); }
    SUBCASE("shorter than a header") { std::filesystem::resize_file(path, 20); }
    SUBCASE("empty") { std::filesystem::resize_file(path, 0); }
    CHECK(errorOf([&] { CodeFile file(path); }) == "BadImage");
  }

  TEST_CASE("a file that is not there is an error of the system") {
    const TemporaryFolder folder;
    CHECK(errorOf([&] { CodeFile file(folder.file("none")); }) == "SystemError");
  }

  TEST_CASE("the hash of a module is of all its bytes") {
    std::vector<std::byte> wasm(100'000, std::byte{5});
    const std::uint64_t before = hashOfModule(wasm);
    wasm[77'777] = std::byte{6};
    CHECK(hashOfModule(wasm) != before);
  }
}
