// Naming of vhost-user sockets, and what claiming a path removes or refuses.
// SPDX-License-Identifier: Apache-2.0
#include "vhost/socket_path.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace vr::vhost::socket_path_test {
namespace {

struct NameRow {
    std::string name;
    std::string interface_name;
    std::string explicit_path;
    std::string wanted;  ///< the path, or if it starts with '!' a part of the error
};

class SocketName : public testing::TestWithParam<NameRow> {};

TEST_P(SocketName, FollowsTheRules) {
    const NameRow& row = GetParam();
    const auto path = make_socket_path("/run/vhost", row.interface_name, row.explicit_path);
    if (row.wanted.front() == '!') {
        ASSERT_FALSE(path);
        EXPECT_NE(path.error().text.find(row.wanted.substr(1)), std::string::npos)
            << path.error().text;
    } else {
        ASSERT_TRUE(path) << path.error().text;
        EXPECT_EQ(*path, row.wanted);
    }
}

INSTANTIATE_TEST_SUITE_P(
    SocketPath,
    SocketName,
    testing::ValuesIn(std::vector<NameRow>{
        {"FromInterface", "tap0", "", "/run/vhost/tap0.sock"},
        {"ExplicitWins", "tap0", "/var/x", "/var/x"},
        {"ExplicitNeedsNoInterface", "", "/var/x", "/var/x"},
        {"NoInterface", "", "", "!file name"},
        {"Slash", "a/b", "", "!file name"},
        {"Dot", ".", "", "!file name"},
        {"DotDot", "..", "", "!file name"},
        {"ZeroByteInName", std::string("a\0b", 3), "", "!file name"},
        {"ZeroByteInPath", "", std::string("/a\0b", 4), "!zero byte"},
        {"Relative", "", "run/x", "!absolute"},
        {"Longest", "", "/" + std::string(106, 'x'), "/" + std::string(106, 'x')},
        {"TooLong",
         "",
         "/" + std::string(107, 'x'),
         "!108 bytes long, a socket path has at most 107"},
    }),
    [](const auto& row) { return row.param.name; });

class Claim : public testing::Test {
  protected:
    void SetUp() override {
        std::string name = testing::TempDir() + "vhost.XXXXXX";
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        directory_ = name;
    }

    void TearDown() override {
        if (socket_ >= 0) {
            ::close(socket_);
        }
        std::filesystem::remove_all(directory_);
    }

    [[nodiscard]] std::string path() const { return directory_ + "/s"; }

    /// Binds path(); a later close() leaves the file behind, as a killed process does.
    void bind_socket(int type = SOCK_STREAM) {
        socket_ = ::socket(AF_UNIX, type, 0);
        ASSERT_GE(socket_, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path().data(), path().size());
        ASSERT_EQ(::bind(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
    }

    void close_socket() {
        ::close(socket_);
        socket_ = -1;
    }

    std::string directory_;
    int socket_ = -1;
};

TEST_F(Claim, AcceptsAFreePath) {
    EXPECT_TRUE(claim_server_path(path()));
}

TEST_F(Claim, CreatesTheDirectory) {
    EXPECT_TRUE(claim_server_path(directory_ + "/a/b/s"));
    EXPECT_TRUE(std::filesystem::is_directory(directory_ + "/a/b"));
}

TEST_F(Claim, RemovesASocketThatNobodyServes) {
    bind_socket();
    close_socket();
    ASSERT_TRUE(std::filesystem::exists(path()));
    EXPECT_TRUE(claim_server_path(path()));
    EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(Claim, RefusesASocketThatIsServed) {
    bind_socket();
    ASSERT_EQ(::listen(socket_, 1), 0);
    const auto claimed = claim_server_path(path());
    ASSERT_FALSE(claimed);
    EXPECT_NE(claimed.error().text.find("another process listens"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(Claim, RefusesASocketOfAnotherType) {
    bind_socket(SOCK_DGRAM);
    EXPECT_FALSE(claim_server_path(path()));
    EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(Claim, NeverRemovesAFile) {
    std::ofstream(path()) << "precious";
    const auto claimed = claim_server_path(path());
    ASSERT_FALSE(claimed);
    EXPECT_NE(claimed.error().text.find("is not a socket"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(Claim, NeverFollowsALink) {
    std::filesystem::create_symlink(directory_ + "/elsewhere", path());
    EXPECT_FALSE(claim_server_path(path()));
    EXPECT_TRUE(std::filesystem::is_symlink(path()));
}

TEST_F(Claim, NamesTheDirectoryThatCannotBeMade) {
    std::ofstream(path()) << "a file";
    const auto claimed = claim_server_path(path() + "/below");
    ASSERT_FALSE(claimed);
    EXPECT_NE(claimed.error().text.find("directory"), std::string::npos);
}

TEST_F(Claim, LetsAClientWaitForItsServer) {
    EXPECT_TRUE(check_client_path(path()));
}

TEST_F(Claim, LeavesTheSocketOfAClientAlone) {
    bind_socket();
    close_socket();
    EXPECT_TRUE(check_client_path(path()));
    EXPECT_TRUE(std::filesystem::exists(path()));
}

TEST_F(Claim, RefusesAFileAsTheSocketOfAClient) {
    std::ofstream(path()) << "a file";
    EXPECT_FALSE(check_client_path(path()));
}

TEST_F(Claim, SetsThePermissions) {
    bind_socket();
    ASSERT_TRUE(grant_access(path(), {.mode = 0620, .group = ""}));
    struct stat status{};
    ASSERT_EQ(::stat(path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 07777U, 0620U);
}

TEST_F(Claim, NamesAnUnknownGroup) {
    bind_socket();
    const auto granted = grant_access(path(), {.mode = 0660, .group = "no-such-group"});
    ASSERT_FALSE(granted);
    EXPECT_NE(granted.error().text.find("no-such-group"), std::string::npos);
}

}  // namespace
}  // namespace vr::vhost::socket_path_test
