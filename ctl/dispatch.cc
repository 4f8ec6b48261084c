// SPDX-License-Identifier: Apache-2.0
#include "ctl/dispatch.h"

#include <cassert>
#include <string>
#include <utility>

#include <boost/locale/utf.hpp>

namespace vr::ctl {

namespace {

using Deliver = std::move_only_function<void(Slices)>;

Slices one_frame(pb::Response response) {
    return [response = std::move(response)](pb::Response& frame) mutable {
        frame = std::move(response);
        return false;
    };
}

/// Protobuf takes UTF-8 only, and an error may quote anything.
std::string readable(std::string text) {
    namespace utf = boost::locale::utf;
    for (auto at = text.begin(); at != text.end();) {
        auto next = at;
        const utf::code_point point = utf::utf_traits<char>::decode(next, text.end());
        if (point == utf::illegal || point == utf::incomplete) {
            *at = '?';
            next = at + 1;
        }
        at = next;
    }
    return text;
}

/// Turns each kind of answer into the one that the server sends.
struct Answering {
    Deliver& deliver;

    void operator()(pb::Response&& response) const { deliver(one_frame(std::move(response))); }

    void operator()(Failure&& failure) const {
        pb::Response response;
        response.mutable_error()->set_code(failure.code);
        response.mutable_error()->set_text(readable(std::move(failure.text)));
        deliver(one_frame(std::move(response)));
    }

    void operator()(Slices&& slices) const { deliver(std::move(slices)); }

    void operator()(Later&& later) const {
        later([deliver = std::move(deliver)](Now answer) mutable {
            const Answering answering{deliver};
            std::visit(answering, std::move(answer));
        });
    }
};

}  // namespace

void Dispatch::on(pb::Request::CommandCase command, Handler handler) {
    const bool added = handlers_.emplace(command, std::move(handler)).second;
    assert(added && "one handler for each command");
    static_cast<void>(added);
}

void Dispatch::answer(const pb::Request& request, Deliver deliver) const {
    const Answering answering{deliver};
    const auto found = handlers_.find(request.command_case());
    if (found == handlers_.end()) {
        answering(Failure{
            .code = pb::Error::CODE_UNSUPPORTED,
            .text =
                "this vrouterd does not serve the command: it runs without the part that is asked "
                "for (data plane, BGP, datastore: see its config), or is of another version"});
        return;
    }
    std::visit(answering, found->second(request));
}

}  // namespace vr::ctl
