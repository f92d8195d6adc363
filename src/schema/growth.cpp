#include "schema/growth.h"
