#include "net/asio.h"
