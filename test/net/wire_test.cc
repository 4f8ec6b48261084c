// SPDX-License-Identifier: Apache-2.0
#include "vrouter/net/wire.h"

#include <gtest/gtest.h>

#include <array>

namespace vr::wire_test {
namespace {

TEST(Reader, ReadsFieldsInOrder) {
    const std::array<std::uint8_t, 7> wire{1, 2, 3, 4, 5, 6, 7};
    Reader r{wire};
    EXPECT_EQ(r.u8(), 1);
    EXPECT_EQ(r.u16(), 0x0203);
    EXPECT_EQ(r.u32(), 0x04050607U);
    EXPECT_TRUE(r.done());
}

TEST(Reader, RemembersThatItFailed) {
    const std::array<std::uint8_t, 3> wire{1, 2, 3};
    Reader r{wire};
    EXPECT_EQ(r.u32(), 0U);
    EXPECT_FALSE(r.ok());
    EXPECT_EQ(r.u8(), 0);
    EXPECT_FALSE(r.done());
}

TEST(Reader, KeepsSubReadersInsideTheirElement) {
    const std::array<std::uint8_t, 4> wire{1, 2, 3, 4};
    Reader r{wire};
    Reader inner = r.take(2);
    inner.skip(3);
    EXPECT_FALSE(inner.ok());
    EXPECT_TRUE(r.ok());
    EXPECT_EQ(r.u16(), 0x0304);
}

TEST(Reader, FailsATakeBeyondTheEnd) {
    const std::array<std::uint8_t, 1> wire{1};
    Reader r{wire};
    EXPECT_FALSE(r.take(2).ok());
    EXPECT_FALSE(r.ok());
}

TEST(Writer, PatchesWhatItWroteBefore) {
    Writer w;
    w.u16(0);
    w.u32(0x01020304);
    w.patch<std::uint16_t>(0, 0xabcd);
    EXPECT_EQ(w.release(), (std::vector<std::uint8_t>{0xab, 0xcd, 1, 2, 3, 4}));
    EXPECT_EQ(w.size(), 0U);
}

}  // namespace
}  // namespace vr::wire_test
