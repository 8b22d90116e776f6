#include "balsa_memory.h"

void balsa_store_release_64_opaque(void *place, uint64_t value) { balsa_store_release_64(place, value); }
