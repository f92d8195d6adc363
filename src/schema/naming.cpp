#include "schema/naming.h"
