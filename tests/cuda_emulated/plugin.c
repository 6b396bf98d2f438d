/* plugin.c - the backend cuda on the emulated device as a shared object: ./conform --backend PATH. */
#include "resnet.h"

rn_backend_table_fn rn_backend_table;

const struct rn_ops *rn_backend_table(void) { return &rn_ops_cuda; }
