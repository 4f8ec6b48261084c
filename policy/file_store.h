// FileStore: a watched directory of *.yaml, *.yml and *.json files as a Datastore.  Asio shell over
// inotify; what a file means is catalog.h's business.
//
//   - A file counts when it is closed after writing or renamed into place, never half-written.
//   - A file that vanishes is forgotten after a grace, because editors replace files by removing and
//     creating them, and a policy must not blink.
//   - Files that are removed one by one are deletes, also when they were the last.  The directory itself
//     (removed, renamed, unmounted, another behind its path) takes nothing with it: everything stays as it
//     is, and it is looked for each second.  What it then holds and lacks counts when two looks have found
//     the same files and an object in them: it is being filled until then.
// Files whose name begins with a dot are not looked at.
//
// Looks are taken, and a large file that changed or all that changed unseen are read, on a thread of its own, and what
// they say is taken over in other turns of the loop.  What happened after it waits until then, so the order stays.  Only
// put(), remove() and the looks at the directory come in between: of a file that was told of meanwhile the thread's
// answer is dropped.
//
// With a state file, the last valid versions of its objects outlive the process, too: each file counts as it
// did when it was last read, until it has been read again.
//
// Who answers for other hosts (vrouter-policyd) must not take for deleted what it merely cannot read at
// its start: Beginning::Whole is in sync only when two looks have found the same, some object is there
// and every file is understood.  A directory that cannot be listed is in sync with nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "policy/beside.h"
#include "policy/catalog.h"
#include "policy/datastore.h"
#include "policy/directory.h"
#include "policy/directory_watch.h"
#include "policy/file_state.h"
#include "policy/journal.h"
#include "policy/kept.h"
#include "policy/saver.h"
#include "policy/when_room.h"

namespace vr::policy {

/// When what is there at the start is everything.
enum class Beginning : std::uint8_t {
    AsFound,  ///< at once
    Whole,    ///< once it stands still, with an object and no file that is not understood
};

struct FileStoreOptions {
    Beginning beginning = Beginning::AsFound;
    std::string state_file;  ///< empty: none
    /// Between two looks at a directory that may be another, or is being filled; more than the grace.
    std::chrono::milliseconds look_interval{1000};
    /// Of files that changed together so many are read, and delivered, in a turn of the loop: one at least.
    std::chrono::microseconds turn{1000};
    /// A file of so many bytes is read beside the loop.
    std::uintmax_t large = kLargeText;
    /// Before what changes is read.
    WhenRoom when_room = at_once;
};

class FileStore final : public Datastore {
  public:
    FileStore(
        boost::asio::any_io_executor executor,
        std::filesystem::path directory,
        Listener listener,
        FileStoreOptions options = {});

    /// Reads the directory, delivers it, with InSync at its time, and watches it from then on.
    [[nodiscard]] Result<void> start();
    /// Watches no longer.  The store may be destroyed at any time, pending completions do nothing.
    void stop();

    [[nodiscard]] std::vector<ObjectStatus> list(const Key& from, std::size_t count) const override;
    [[nodiscard]] std::vector<std::string> problems() const override;
    [[nodiscard]] SourceStatus status() const override;

    [[nodiscard]] std::map<Kind, KindCount> counts() const override { return catalog_.counts(); }

    /// One file per object, "networkpolicy.prod.web.yaml"; delivered before this returns.
    void put(std::string_view file, std::string_view yaml, PutDone done) override {
        done(put(file, yaml));
    }

    void remove(const Key& key, RemoveDone done) override { done(remove(key)); }

    [[nodiscard]] Result<std::vector<Key>> put(std::string_view file, std::string_view yaml);
    [[nodiscard]] Result<void> remove(const Key& key);

  private:
    using LookPtr = Directory::LookPtr;

    [[nodiscard]] Result<void> watch();
    void read_events();
    void go_through_events(std::uint32_t seen);
    void go_on_later(std::function<void()> go_on);
    void on_event(std::uint32_t mask, const std::string& name);
    void on_directory_lost();
    void doubt(const std::string& why);
    void look_again_later();
    void look_again();
    void end_look();
    void look_beside();
    [[nodiscard]] bool is_to_be_read(const Result<LookPtr>& seen);
    [[nodiscard]] bool stands_still(const Result<LookPtr>& seen);
    void scan_beside();
    [[nodiscard]] bool counts(const Directory::Scan& scan);
    void take_scanned();
    void end_scan();
    void forget_vanished_later();
    void forget_vanished();
    void forget(std::set<std::string> files);

    /// Reads the whole directory.
    void scan();
    void note_listed(const Result<LookPtr>& seen);
    void note_vanished(const Directory::Look& present);
    [[nodiscard]] bool is_large(const std::string& file) const;
    void load_beside(std::function<void()> then);
    void load(const std::string& file);
    void take(const std::string& file, Reading reading);
    void outrun(const std::string& file);
    void catch_up();
    void note_kept(const std::string& file);
    void forget_kept(const std::string& file);
    void set_text(
        const std::string& file,
        std::shared_ptr<const std::string> text,
        Result<ParsedFile> parsed);
    void save();
    void report(const std::string& file) const;
    void deliver();
    /// Why this is not what `beginning_` asks for; empty: it is.
    [[nodiscard]] std::string missing() const;
    [[nodiscard]] bool holds_no_object() const;
    void begin();

    [[nodiscard]] Result<void> is_writable() const;

    boost::asio::any_io_executor executor_;
    DirectoryWatch watch_;
    boost::asio::steady_timer look_timer_;
    boost::asio::steady_timer grace_timer_;
    Directory directory_;
    Listener listener_;
    Catalog catalog_;
    Kept kept_;
    Events pending_;
    std::set<std::string> vanished_;
    FileStoreOptions options_;
    Journal<Catalog::Good> saved_;  ///< by the names of files
    std::optional<Saver> saver_;
    GoodTexts good_;  ///< as they were saved, of files that were not read since the start
    bool in_sync_ = false;
    bool understood_ = false;  ///< as Batch::understood; a batch follows when it becomes true
    bool read_ = false;        ///< with the care that `beginning_` asks for
    Directory::Identity watched_;
    std::uint64_t watches_ = 0;  ///< what an earlier one tells is not heard
    std::string doubt_;          ///< why what is there does not count; empty: it does
    LookPtr found_;              ///< by the last look at a directory that is waited for
    bool settled_ = false;       ///< it found what the one before had found
    LookPtr loaded_;             ///< the look that was last read
    std::string reading_;        ///< the large file whose answer is waited for; empty: none
    bool events_wait_ = false;   ///< some were read and not acted upon
    bool looking_ = false;       ///< or reading what a look has found
    bool must_scan_ = false;     ///< something has changed of which nothing was told
    bool stirred_ = false;  ///< something has happened to a directory in doubt since it was read
    std::function<void()> after_scan_;        ///< events that came after that
    std::map<std::string, Reading> scanned_;  ///< to be taken over, and delivered together
    std::set<std::string> outrun_;            ///< files that were told of since a scan began
    SourceStatus health_;
    std::string list_error_;  ///< of the last scan
    std::string waited_for_;  ///< what was last said to be missing
    std::uint64_t revision_ = 0;
    /// Held weakly by completions: one that was queued before stop() must not touch what is gone.
    std::shared_ptr<const bool> watching_;
    Beside beside_;
    Beside looks_;  ///< not beside_: a look may come while a file is read
};

}  // namespace vr::policy
