#include "schema/registry.h"
