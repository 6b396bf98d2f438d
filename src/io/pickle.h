/*
 * pickle.h - pickles of tensors, read without executing anything (inside io/ only).
 *
 * A pickle is a program for a stack machine.  Here its instructions are a closed list, the names it
 * may mention are a fixed dictionary, and "calling" one of them only makes a record.  The machine's
 * objects are nodes in one growing array that refer to each other by number: nothing is freed one
 * by one, cycles do no harm, and only rn_pickle_tree() turns what is reachable into an owned tree.
 * Opcodes: CPython's Lib/pickletools.py.
 */
#ifndef RN_IO_PICKLE_H
#define RN_IO_PICKLE_H

#include "io/io.h"

/* Bytes of pickle: ResNet-152 with Adam needs 0.3 MB. */
#define RN_PICKLE_LIMIT ((uint64_t)64 << 20)
/* Nodes, links, stack, marks and memo, each; also values of a tree. */
#define RN_PICKLE_NODES ((size_t)1 << 20)
/* Containers inside containers. */
#define RN_PICKLE_DEPTH 200
#define RN_STORAGE_KEY 64

enum rn_node_kind {
    RN_NODE_NONE,
    RN_NODE_BOOL,
    RN_NODE_INT,
    RN_NODE_REAL,
    RN_NODE_TEXT,
    RN_NODE_LIST,
    RN_NODE_TUPLE,
    RN_NODE_DICT,
    RN_NODE_TENSOR,
    RN_NODE_GLOBAL,  /* integer: its row in the dictionary */
    RN_NODE_STORAGE, /* integer: index into storage[] */
    RN_NODE_HOLLOW   /* a Parameter made before its tensor is known */
};

struct rn_node {
    uint8_t kind;
    bool ordered;         /* dict */
    bool parameter;       /* tensor */
    bool open;            /* while the tree is made: an ancestor of the node at hand */
    uint32_t count;       /* items (a dict's keys and values, both counted); bytes of a text */
    uint32_t first, last; /* links to the first and last item */
    union { int64_t integer; double real; const char *text; /* in the pickle's bytes */ } as;
};
struct rn_link { uint32_t node, next; };

/* A storage as one tensor sees it. */
struct rn_storage {
    enum rn_dtype dtype;
    char key[RN_STORAGE_KEY]; /* its name in the file */
    int64_t numel;            /* elements of the whole */
    int64_t first, count;     /* the part that is seen: all, or a view (files before 0.4) */
};
/* A tensor over storage[storage]: checked to stay inside it. */
struct rn_strided {
    uint32_t storage;
    int dims;
    int64_t offset, count, shape[RN_MAX_DIMS], stride[RN_MAX_DIMS];
};

struct rn_pickle {
    const char *path;
    const unsigned char *data; /* borrowed; texts point into it */
    size_t size, at;
    uint64_t base;             /* where data lies in its file, for messages */
    struct rn_node *node;      size_t nodes, node_room;
    struct rn_link *link;      size_t links, link_room;
    uint32_t *stack;           size_t depth, stack_room;
    uint32_t *mark;            size_t marks, mark_room;
    uint32_t *memo;            size_t memos;
    struct rn_storage *storage; size_t storages, storage_room;
    struct rn_strided *tensor; size_t tensors, tensor_room;
    /* What a persistent id means; rn_pickle_storage unless the form differs (the tar of 2017). */
    rn_status (*persistent)(struct rn_pickle *p, uint32_t id, uint32_t *object);
    void *context;             /* of persistent */
};

void rn_pickle_begin(struct rn_pickle *p, const char *path);
void rn_pickle_input(struct rn_pickle *p, const unsigned char *data, size_t size, uint64_t base);
/* Runs one pickle from p->at to its STOP; *root is its node.  Nodes of earlier runs stay. */
rn_status rn_pickle_run(struct rn_pickle *p, uint32_t *root);
void rn_pickle_end(struct rn_pickle *p);

/* A tensor whose data is still to be read. */
struct rn_pending {
    struct rn_value *value;
    const struct rn_strided *tensor;
    const struct rn_storage *storage;
    size_t order;
};
struct rn_pending_list { struct rn_pending *item; size_t count, room; };
/* What is reachable from `root` as an owned tree; its tensors have data NULL and are listed in
 * *pending.  RN_EINPUT: cycles, more than RN_PICKLE_NODES values, tensors of more than
 * `tensor_limit` bytes in all. */
rn_status rn_pickle_tree(struct rn_pickle *p, uint32_t root, uint64_t tensor_limit,
                         struct rn_value **tree, struct rn_pending_list *pending);

/* -- between the files of the reader ----------------------------------------------------------- */
rn_status rn_pickle_fail(const struct rn_pickle *p, const char *fmt, ...) RN_PRINTF(2, 3);
rn_status rn_pickle_node(struct rn_pickle *p, enum rn_node_kind kind, uint32_t *id);
rn_status rn_pickle_append(struct rn_pickle *p, uint32_t container, uint32_t item);
/* Up to `max` items of a list or tuple, in order; returns how many there are in all. */
size_t rn_pickle_items(const struct rn_pickle *p, uint32_t container, uint32_t *out, size_t max);
/* The dictionary: GLOBAL, REDUCE, NEWOBJ and BUILD. */
rn_status rn_pickle_global(struct rn_pickle *p, const char *module, size_t m, const char *name,
                           size_t n, uint32_t *id);
rn_status rn_pickle_call(struct rn_pickle *p, uint32_t callee, uint32_t args, uint32_t *result);
rn_status rn_pickle_build(struct rn_pickle *p, uint32_t object, uint32_t state);
bool rn_pickle_storage_type(const struct rn_pickle *p, uint32_t id, enum rn_dtype *dtype);
rn_status rn_pickle_storage(struct rn_pickle *p, uint32_t id, uint32_t *object);
/* Shape and strides of t against its storage; sets t->count. */
rn_status rn_pickle_bounds(const struct rn_pickle *p, struct rn_strided *t);
rn_status rn_pickle_tensor(struct rn_pickle *p, const struct rn_strided *t, uint32_t *id);

/* Protocol 2 bytes of a tree for torch.load(weights_only=True); storages are named 0, 1, ... in the
 * order of the tensors in the tree, which *tensors lists (borrowed). */
struct rn_text;
struct rn_tensor_list { const struct rn_tensor **item; size_t count, room; };
rn_status rn_pickle_write(struct rn_text *out, const struct rn_value *root,
                          struct rn_tensor_list *tensors);

#endif /* RN_IO_PICKLE_H */
