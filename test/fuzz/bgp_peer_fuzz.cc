// Fuzz target of bgp/: a whole speaker against a hostile peer.  The input says what the peer's side of
// TCP does and for how long nothing happens; tables, timers and both connections run for real.
//
// Input: records of a kind byte and, for bytes sent, a length byte and so many bytes.  The speaker may
// refuse everything, but it must neither crash nor keep a route of a session that is gone.
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "bgp/instance.h"

namespace {

using namespace vr;
using namespace vr::bgp;

class CountingSink final : public RouteSink {
  public:
    void update(const IpPrefix& /*prefix*/, const LearntRoute& route) override {
        if (route.next_hops.empty()) {
            std::abort();
        }
    }

    void withdraw(const IpPrefix& /*prefix*/) override {}
};

/// The peer with its two connections, as a shell would drive them.
class Shell {
  public:
    Shell() : instance_(config(), sink_, oracle_, [] { return 0.5; }) {
        PeerConfig peer;
        peer.address = Ip4{0xc0000202};
        peer.asn = Asn{65002};
        peer.import = import_filter();
        peer.export_ = Filter{.kind = Filter::Kind::All, .rules = {}};
        peer_ = *instance_.add_peer(peer, now_);
        instance_.originate(*Prefix<V4>::make(Ip4{0x0a000000}, 24), {});
    }

    void step(std::uint8_t kind, Reader& in) {
        const Direction direction = (kind & 1U) != 0 ? Direction::Incoming : Direction::Outgoing;
        switch (kind >> 1U & 3U) {
            case 0:
                send(direction, in.bytes(std::min<std::size_t>(in.u8(), in.remaining())));
                break;
            case 1:
                connect(direction);
                break;
            case 2:
                peer_->disconnected(direction, "gone", now_);
                break;
            default:
                now_ += std::chrono::seconds{kind};
                peer_->tick(now_);
                break;
        }
        settle();
    }

    void finish() {
        peer_->stop(Notification{}, now_);
        settle();
        while (instance_.work()) {
        }
        if (instance_.ribs().v4.size() != 1 || instance_.ribs().v6.size() != 0) {
            std::abort();
        }
    }

  private:
    static SpeakerConfig config() {
        SpeakerConfig config;
        config.asn = Asn{65001};
        config.router_id = Ip4{0xc0000201};
        return config;
    }

    /// Looks at everything that the peer can say, and changes what it accepts.
    static Filter import_filter() {
        FilterRule reject;
        reject.match.communities = {*parse_community("65002:666"), *parse_community("rt:65002:1")};
        FilterRule change;
        change.match.as_path_prefix = {Asn{65002}, Asn{65003}};
        change.action = FilterRule::Action::Accept;
        change.operations = {
            AddCommunity{*parse_community("1:2:3")},
            PrependAsPath{{Asn{65002}, Asn{4200000000}}},
            SetLocalPref{7},
            SetMed{7}};
        return Filter{.kind = Filter::Kind::All, .rules = {reject, change}};
    }

    void connect(Direction direction) {
        if (direction == Direction::Incoming && !peer_->accept(now_)) {
            return;
        }
        settle();
        peer_->connected(direction, Ip4{0xc0000201}, now_);
    }

    void send(Direction direction, Bytes bytes) {
        peer_->receive(direction, bytes);
        while (peer_->process(direction, now_)) {
        }
    }

    void settle() {
        static_cast<void>(peer_->take_actions());
        static_cast<void>(peer_->take_changes());
        static_cast<void>(peer_->take_warnings());
        instance_.work();
        static_cast<void>(peer_->take_output(Direction::Outgoing));
        static_cast<void>(peer_->take_output(Direction::Incoming));
        static_cast<void>(peer_->summary(now_));
    }

    Time now_{std::chrono::hours{1}};
    CountingSink sink_;
    AnyNextHop oracle_;
    Instance instance_;
    Peer* peer_ = nullptr;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Shell shell;
    Reader in{Bytes{data, size}};
    while (!in.empty()) {
        shell.step(in.u8(), in);
    }
    shell.finish();
    return 0;
}
