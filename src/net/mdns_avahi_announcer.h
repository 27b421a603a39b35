// What one process announces through Avahi: a host name with this machine's addresses, and services
// on that host. Keeps it true while addresses come and go, and takes another name where one is
// taken. The addresses have no reverse entries: those belong to the machine's own host name, which
// an avahi-daemon may announce.
// Threads: all on the loop's thread; also before it runs.
#pragma once

#include <list>
#include <map>
#include <string>

#include <avahi-core/core.h>
#include <avahi-core/publish.h>

#include "net/mdns.h"
#include "net/mdns_avahi_addresses.h"
#include "net/mdns_avahi_loop.h"

namespace grove {

class AvahiAnnouncer {
 public:
  // `server` must outlive every call, and be freed before this object is: it says goodbye then.
  AvahiAnnouncer(AvahiServer* server, AvahiPoll const* api, AddressChanges changes,
                 std::string host_label);

  // The service must have passed check_service() of net/mdns_rules.h.
  void add(MdnsService service);

 private:
  // Records that live and conflict together. The group belongs to the server.
  struct Entry {
    AvahiSEntryGroup* group = nullptr;
    std::chrono::steady_clock::time_point began;
  };
  struct ServiceEntry : Entry {
    MdnsService service;
    bool is_renamed = false;
  };

  void look_after();
  void look_after_addresses();
  void look_after_services();
  void rename_host();
  void announce_address(OwnAddress const& own, Entry& entry);
  void announce_service(ServiceEntry& entry);
  // An entry's group, empty. False without memory.
  bool empty(Entry& entry);
  void commit(Entry& entry, std::string_view what);
  bool is_stuck(Entry const& entry) const;
  void on_group(AvahiSEntryGroup* group, AvahiEntryGroupState state);
  std::string host_name() const { return host_label_ + ".local"; }

  AvahiServer* server_;
  std::string host_label_;
  bool is_host_renamed_ = false;
  std::map<OwnAddress, Entry> addresses_;
  std::list<ServiceEntry> services_;
  AvahiTimer look_again_;
  AddressChanges changes_;
  AvahiReadable changed_;
};

}  // namespace grove
