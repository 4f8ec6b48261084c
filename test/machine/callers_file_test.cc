// SPDX-License-Identifier: Apache-2.0
#include "vrouter/daemon/callers_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "policy/sealed_file.h"

namespace vr::daemon {
namespace {

const Callers kTwo{*parse_ip("10.99.0.1"), *parse_ip("fd00::1")};

TEST(CallersFile, SaysThemAgain) {
    for (const Callers& callers : {Callers{}, kTwo}) {
        const auto again = decode_callers(encode_callers(callers));
        ASSERT_TRUE(again);
        EXPECT_EQ(*again, callers);
    }
}

/// With a digest that is right.
std::string sealed(std::string bytes) {
    policy::seal(bytes);
    return bytes;
}

TEST(CallersFile, IsRefusedWhole) {
    const std::string magic = "vrouter callers 1\n";
    const std::string good = encode_callers(kTwo);
    std::string flipped = good;
    flipped[magic.size() + 5] ^= 1;
    std::string many = magic;
    for (int i = 0; i < 65'537; ++i) {
        policy::put_text(many, "::1");
    }
    std::string cut = magic;
    policy::put_text(cut, "10.99.0.1");
    cut.pop_back();
    std::string no_address = magic;
    policy::put_text(no_address, "10.99.0.256");
    for (const std::string& bad :
         {std::string{},
          good.substr(0, good.size() - 1),
          flipped,
          sealed(many),
          sealed(cut),
          sealed(no_address),
          sealed(magic + '\0'),
          sealed(magic + "\xff\xff\xff\xff"),
          sealed("vrouter callers 2\n")}) {
        EXPECT_FALSE(decode_callers(bad));
    }
}

class CallersOnDisk : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = ::testing::TempDir() + "callers-XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        directory = name;
        path = name + "/socket.callers";
    }

    void TearDown() override { std::filesystem::remove_all(directory); }

    /// What a start finds.
    [[nodiscard]] Callers found() {
        const auto read = CallersFile(loop, path).read();
        EXPECT_TRUE(read) << read.error().text;
        return *read;
    }

    std::string directory;
    std::string path;
    boost::asio::io_context loop;
};

TEST_F(CallersOnDisk, NobodyIsThereWithoutAFile) {
    EXPECT_EQ(found(), Callers{});
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(CallersOnDisk, AreThoseThatWereThereLast) {
    Callers present = kTwo;
    {
        CallersFile file(loop, path);
        file.follow([&] { return present; });
    }
    EXPECT_EQ(found(), kTwo);
    CallersFile file(loop, path);
    ASSERT_TRUE(file.read());
    file.follow([&] { return present; });
    present.pop_back();
    while (found() != present) {
        loop.run_one();
    }
}

TEST_F(CallersOnDisk, AreForgottenAtAnOrderlyEnd) {
    {
        CallersFile file(loop, path);
        file.follow([] { return kTwo; });
        file.remove();
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    loop.run();
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(CallersOnDisk, AreReplacedWhereTheyCannotBeRead) {
    std::ofstream(path) << "nonsense";
    {
        CallersFile file(loop, path);
        EXPECT_FALSE(file.read());
        file.follow([] { return kTwo; });
    }
    EXPECT_EQ(found(), kTwo);
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    EXPECT_FALSE(CallersFile(loop, path).read());
}

}  // namespace
}  // namespace vr::daemon
