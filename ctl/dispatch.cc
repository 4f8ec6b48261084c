// SPDX-License-Identifier: Apache-2.0
#include "ctl/dispatch.h"

#include <cassert>

namespace vr::ctl {

namespace {

/// Turns each kind of answer into the one that the server sends.
struct ToSlices {
    Slices operator()(pb::Response&& response) const {
        return [response = std::move(response)](pb::Response& frame) mutable {
            frame = std::move(response);
            return false;
        };
    }

    Slices operator()(Failure&& failure) const {
        return [failure = std::move(failure)](pb::Response& frame) {
            frame.mutable_error()->set_code(failure.code);
            frame.mutable_error()->set_text(failure.text);
            return false;
        };
    }

    Slices operator()(Slices&& slices) const { return std::move(slices); }
};

}  // namespace

void Dispatch::on(pb::Request::CommandCase command, Handler handler) {
    const bool added = handlers_.emplace(command, std::move(handler)).second;
    assert(added && "one handler for each command");
    static_cast<void>(added);
}

Slices Dispatch::answer(const pb::Request& request) const {
    const auto found = handlers_.find(request.command_case());
    if (found == handlers_.end()) {
        return ToSlices{}(Failure{
            .code = pb::Error::CODE_UNSUPPORTED,
            .text =
                "this vrouterd does not serve the command: it runs without the part that is asked "
                "for (data plane, BGP, datastore: see its config), or is of another version"});
    }
    return std::visit(ToSlices{}, found->second(request));
}

}  // namespace vr::ctl
