#include "memory/image.h"

#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <numeric>

#include "memory/delta_file.h"
#include "memory/image_table.h"
#include "test/fixtures.h"

using namespace sandloom;
using namespace sandloom::test;

TEST_SUITE("image") {
  TEST_CASE("an image has the content of its sparse file and costs only its data") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), 64 * kMiB, {{0, 1}, {1, 2}, {5000, 3}, {16383, 4}});
    const auto image = Image::open(folder.file("base"), std::nullopt);
    CHECK(image->bytes() == 64 * kMiB);
    CHECK(isFilled(image->data(), kPageBytes, 1));
    CHECK(isFilled(image->data() + kPageBytes, kPageBytes, 2));
    CHECK(isFilled(image->data() + 5000 * kPageBytes, kPageBytes, 3));
    CHECK(isFilled(image->data() + 16383 * kPageBytes, kPageBytes, 4));
    CHECK(allocatedBytes(image->fd()) <= 64 * kKiB);
  }

  TEST_CASE("pages of zeros are not allocated, even where the file is not sparse") {
    const TemporaryFolder folder;
    std::ofstream(folder.file("base"), std::ios::binary) << std::string(3 * kMiB, '\0') << "x";
    const auto image = Image::open(folder.file("base"), std::nullopt);
    CHECK(image->bytes() == 3 * kMiB + kPageBytes);
    CHECK(image->data()[3 * kMiB] == std::byte{'x'});
    CHECK(allocatedBytes(image->fd()) <= kPageBytes);
  }

  TEST_CASE("the content of a base has a hash, whether its zeros are holes or not") {
    const TemporaryFolder folder;
    writeSparse(folder.file("sparse"), 3 * kMiB, {{0, 1}, {700, 2}});
    std::string content(3 * kMiB, '\0');
    std::memset(content.data(), 1, kPageBytes);
    std::memset(content.data() + 700 * kPageBytes, 2, kPageBytes);
    std::ofstream(folder.file("dense"), std::ios::binary) << content;
    const auto hash = [&](const char* name) { return Image::open(folder.file(name), std::nullopt)->contentHash(); };
    CHECK(hash("sparse") == hash("dense"));
    const std::uint64_t before = hash("dense");
    corrupt(folder.file("dense"), 700 * kPageBytes + 5);
    CHECK(hash("dense") != before);
    writeSparse(folder.file("elsewhere"), 3 * kMiB, {{0, 1}, {699, 2}});
    CHECK(hash("elsewhere") != before);
  }

  TEST_CASE("an image is sealed") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), kMiB, {{0, 1}});
    const auto image = Image::open(folder.file("base"), std::nullopt);
    CHECK(::ftruncate(image->fd(), 0) != 0);
    CHECK(::pwrite(image->fd(), "x", 1, 0) < 0);
    CHECK(::mmap(nullptr, kPageBytes, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd(), 0) == MAP_FAILED);
  }

  TEST_CASE("a delta replaces pages and lengthens the image") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), kMiB, {{0, 1}, {1, 2}, {2, 3}});
    std::vector<std::byte> heap(2 * kMiB);
    std::memset(heap.data() + kPageBytes, 9, 2 * kPageBytes);
    std::memset(heap.data() + 300 * kPageBytes, 8, kPageBytes);
    const std::array<std::uint32_t, 3> pages = {1, 2, 300};
    const DeltaSummary summary = writeDeltaFile(folder.file("delta"), heap.data(), pages, heap.size());
    CHECK(summary.pages == 3);
    CHECK(summary.bytes == std::filesystem::file_size(folder.file("delta")));
    const auto image = Image::open(folder.file("base"), folder.file("delta"));
    CHECK(image->bytes() == 2 * kMiB);
    CHECK(isFilled(image->data(), kPageBytes, 1));
    CHECK(isFilled(image->data() + kPageBytes, 2 * kPageBytes, 9));
    CHECK(isFilled(image->data() + 300 * kPageBytes, kPageBytes, 8));
    CHECK(std::distance(std::filesystem::directory_iterator(folder.file("")), std::filesystem::directory_iterator()) == 2);
  }

  TEST_CASE("a variant shares its base, whose content and length it must have but for a few pages") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), 16 * kMiB, {{0, 1}, {1, 2}, {2, 3}});
    std::vector<std::byte> heap(17 * kMiB);
    std::memset(heap.data() + kPageBytes, 9, kPageBytes);
    std::memset(heap.data() + 300 * kPageBytes, 8, kPageBytes);
    const std::array<std::uint32_t, 2> pages = {1, 300};
    ImageTable table;
    const auto base = table.open(folder.file("base"), std::nullopt);
    CHECK(table.open(folder.file("base"), std::nullopt) == base);
    writeDeltaFile(folder.file("delta"), heap.data(), pages, 16 * kMiB);
    const auto variant = table.open(folder.file("base"), folder.file("delta"));
    CHECK(variant->base() == base.get());
    CHECK(variant->ownBytes() == 2 * kPageBytes);
    CHECK(variant->dataBytes() == 301 * kPageBytes);
    CHECK(isFilled(variant->data(), kPageBytes, 1));
    CHECK(isFilled(variant->data() + kPageBytes, kPageBytes, 9));
    CHECK(isFilled(variant->data() + 2 * kPageBytes, kPageBytes, 3));
    CHECK(isFilled(variant->data() + 300 * kPageBytes, kPageBytes, 8));
    CHECK(isFilled(base->data() + kPageBytes, kPageBytes, 2));

    writeDeltaFile(folder.file("of this"), heap.data(), pages, 16 * kMiB, base->contentHash());
    CHECK(table.open(folder.file("base"), folder.file("of this"))->base() == base.get());
    for (const std::size_t bytes : {16 * kMiB, 17 * kMiB}) {
      writeDeltaFile(folder.file("of another"), heap.data(), pages, bytes, base->contentHash() + 1);
      CHECK(errorOf([&] { (void)table.open(folder.file("base"), folder.file("of another")); }) == "BadImage");
    }

    writeDeltaFile(folder.file("longer"), heap.data(), pages, 17 * kMiB);
    CHECK(table.open(folder.file("base"), folder.file("longer"))->base() == nullptr);
    std::vector<std::uint32_t> many(2049);
    std::iota(many.begin(), many.end(), 0U);
    writeDeltaFile(folder.file("many"), heap.data(), many, 16 * kMiB);
    const auto whole = table.open(folder.file("base"), folder.file("many"));
    CHECK(whole->base() == nullptr);
    CHECK(isFilled(whole->data() + 300 * kPageBytes, kPageBytes, 8));
  }

  TEST_CASE("a delta of no pages is a delta") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), kMiB, {{0, 1}});
    writeDeltaFile(folder.file("delta"), nullptr, {}, kMiB);
    CHECK(Image::open(folder.file("base"), folder.file("delta"))->bytes() == kMiB);
  }

  TEST_CASE("a damaged delta is refused") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), kMiB, {{0, 1}});
    const std::vector<std::byte> heap(kMiB, std::byte{7});
    const std::array<std::uint32_t, 2> pages = {4, 7};
    const std::string delta = folder.file("delta");
    writeDeltaFile(delta, heap.data(), pages, heap.size());
    const auto open = [&] { Image::open(folder.file("base"), delta); };
    SUBCASE("magic") { corrupt(delta, 0); }
    SUBCASE("page count") { corrupt(delta, 8); }
    SUBCASE("page size") { corrupt(delta, 12); }
    SUBCASE("length") { corrupt(delta, 16); }
    SUBCASE("hash") { corrupt(delta, 24); }
    SUBCASE("page number") { corrupt(delta, 32); }
    SUBCASE("page") { corrupt(delta, 5000); }
    SUBCASE("truncated") { std::filesystem::resize_file(delta, 4096); }
    SUBCASE("empty") { std::filesystem::resize_file(delta, 0); }
    CHECK(errorOf(open) == "BadImage");
  }

  TEST_CASE("a delta with pages out of order or past its image is refused") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), kMiB, {{0, 1}});
    const std::vector<std::byte> heap(kMiB);
    std::array<std::uint32_t, 2> pages = {4, 4};
    std::size_t image_bytes = kMiB;
    SUBCASE("twice") {}
    SUBCASE("descending") { pages = {5, 4}; }
    SUBCASE("past the end") {
      pages = {4, 255};
      image_bytes = 255 * kPageBytes;
    }
    SUBCASE("shorter than the base") {
      pages = {4, 5};
      image_bytes = 8 * kPageBytes;
    }
    writeDeltaFile(folder.file("delta"), heap.data(), pages, image_bytes);
    CHECK(errorOf([&] { Image::open(folder.file("base"), folder.file("delta")); }) == "BadImage");
  }

  TEST_CASE("a missing or empty file is an error, and no half delta is left behind") {
    const TemporaryFolder folder;
    CHECK(errorOf([&] { Image::open(folder.file("none"), std::nullopt); }) == "SystemError");
    writeSparse(folder.file("empty"), 0, {});
    CHECK(errorOf([&] { Image::open(folder.file("empty"), std::nullopt); }) == "BadImage");
    const std::vector<std::byte> heap(kMiB);
    const std::array<std::uint32_t, 1> pages = {0};
    std::filesystem::create_directory(folder.file("taken"));
    CHECK(errorOf([&] { writeDeltaFile(folder.file("taken"), heap.data(), pages, kMiB); }) == "SystemError");
    CHECK(std::distance(std::filesystem::directory_iterator(folder.file("")), std::filesystem::directory_iterator()) == 2);
  }

  TEST_CASE("a closed image is gone from the table but stays with who holds it") {
    const TemporaryFolder folder;
    writeSparse(folder.file("base"), kMiB, {{0, 5}});
    ImageTable table;
    const ImageId id = table.add(Image::open(folder.file("base"), std::nullopt));
    const auto held = table.get(id);
    table.close(id);
    CHECK(errorOf([&] { (void)table.get(id); }) == "BadArgument");
    CHECK(errorOf([&] { table.close(id); }) == "BadArgument");
    CHECK(held->data()[0] == std::byte{5});
  }
}
