// Answers on the terminal: columns, or JSON.
//
// A listing is printed while it comes: the widths of its columns are those of the first frame, longer
// cells of later frames push their line.  So a million routes need no memory here either.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <vrouter.pb.h>

namespace vr::ctl {

struct Column {
    std::string_view title;
    std::string_view field;  ///< of the row's message
    /// Text of the whole row for this column, instead of one field's.
    std::string (*text)(const google::protobuf::Message& row) = nullptr;
    bool wide = false;  ///< only in the wide form
};

/// The message in `response` (of its oneof `body`), or null when it is empty.
[[nodiscard]] const google::protobuf::Message* body(const pb::Response& response);

/// Rows of a listing; a message without a `rows` field is its own single row.
[[nodiscard]] std::vector<const google::protobuf::Message*> rows(const pb::Response& response);

/// What a listing has to say beside its rows: its field `problems`.
[[nodiscard]] std::vector<std::string> problems_beside_rows(const pb::Response& response);

using Sink = std::function<void(std::string_view text)>;

/// Rows as aligned columns under titles; numbers to the right.
class Table {
  public:
    Table(std::span<const Column> columns, bool wide, Sink sink);

    void print(const pb::Response& frame);

  private:
    using Cells = std::vector<std::string>;
    [[nodiscard]] Cells cells(const google::protobuf::Message& row) const;
    void widen(const Cells& line);
    void write(const Cells& line) const;

    std::vector<Column> columns_;
    std::vector<std::size_t> widths_;
    std::vector<bool> numeric_;
    bool begun_ = false;
    Sink sink_;
};

/// A listing as a JSON array, one row a line; anything else as one object.
class JsonLines {
  public:
    explicit JsonLines(Sink sink);

    void print(const pb::Response& frame);

  private:
    bool begun_ = false;
    Sink sink_;
};

/// Every field of every row on its own line, "name: value", an empty line between rows.  Fields of a
/// message inside the row follow its name: "ipv4 received: 3".
[[nodiscard]] std::string details(const pb::Response& frame);

}  // namespace vr::ctl
