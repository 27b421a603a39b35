// One search for services through Avahi: every find, on each interface and in each family, is
// resolved and handed over once. Bounded whatever is said on the network: mdns_sightings_max finds
// are resolved at once (a new one takes the place of the oldest) and as many are handed over in
// all. Threads: all on the loop's thread.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include <avahi-core/lookup.h>

#include "net/mdns.h"

namespace grove {

class AvahiBrowser {
 public:
  using OnSighting = std::function<void(MdnsSighting)>;

  // `server` must outlive it. Fails: internal.
  static Result<std::unique_ptr<AvahiBrowser>> start(AvahiServer* server, std::string const& type,
                                                     OnSighting on_sighting);
  ~AvahiBrowser();
  AvahiBrowser(AvahiBrowser const&) = delete;
  AvahiBrowser& operator=(AvahiBrowser const&) = delete;

 private:
  struct Find {
    AvahiBrowser* browser;
    AvahiIfIndex interface;
    AvahiProtocol protocol;
    std::string instance;
    AvahiSServiceResolver* resolver;
  };

  AvahiBrowser(AvahiServer* server, std::string type, OnSighting on_sighting);
  void on_new(AvahiIfIndex interface, AvahiProtocol protocol, char const* instance);
  void on_removed(AvahiIfIndex interface, AvahiProtocol protocol, char const* instance);
  void on_resolved(Find const& find, char const* host_name, AvahiAddress const* address,
                   std::uint16_t port, AvahiStringList* text);
  void forget(std::list<Find>::iterator find);

  AvahiServer* server_;
  std::string type_;
  OnSighting on_sighting_;
  AvahiSServiceBrowser* browser_ = nullptr;
  std::list<Find> finds_;  // being resolved, the oldest first
  std::size_t sightings_count_ = 0;
};

}  // namespace grove
