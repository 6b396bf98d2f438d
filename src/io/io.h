/*
 * io.h - tensor files in and out: .pth (zip, stream and 2017 tar forms), .safetensors, .npz/.npy.
 *
 * Readers recognise a file by content, never trust a byte, execute nothing, and leave no partial
 * state behind: on failure nothing is returned and rn_error() names file, offset, field, value,
 * limit (RN_EINPUT).  Memory stays below the file's size plus a constant, or twice that size where
 * tensors are views of shared storages.
 * Writers are atomic (base/file.h) and a pure function of the content: equal content, equal bytes.
 */
#ifndef RN_IO_H
#define RN_IO_H

#include "io/value.h"

/* A flat list of named tensors, the common form of all formats. */
struct rn_named { char *name; struct rn_tensor tensor; uint32_t crc; /* of little-endian data */ };
struct rn_tensors { struct rn_named *item; size_t count, capacity; };
void rn_tensors_free(struct rn_tensors *t);
/* Copies name; takes the tensor's data over when owned (also when it fails). */
rn_status rn_tensors_add(struct rn_tensors *t, const char *name, const struct rn_tensor *tensor);
const struct rn_named *rn_tensors_find(const struct rn_tensors *t, const char *name);

enum rn_format { RN_FORMAT_PTH_ZIP, RN_FORMAT_PTH_STREAM, RN_FORMAT_PTH_TAR, RN_FORMAT_PICKLE,
                 RN_FORMAT_SAFETENSORS, RN_FORMAT_NPZ, RN_FORMAT_NPY };
const char *rn_format_name(enum rn_format f);
/* What a file is, by content; those up to RN_FORMAT_PICKLE are read by rn_pth_read.  RN_EINPUT says
 * what it is instead (a web page, a Git-LFS pointer, a gzip file ...). */
rn_status rn_recognise(enum rn_format *format, const char *path);

/* -- .pth -------------------------------------------------------------------------------------- */
/* The whole object of a checkpoint, tensors included (any of the .pth forms, or a bare data.pkl,
 * whose tensors have no data). */
rn_status rn_pth_read(struct rn_value **root, enum rn_format *format, const char *path);
/* torch.load(path, weights_only=True) opens it: stored zip, 64-byte aligned, protocol 2. */
rn_status rn_pth_write(const char *path, const struct rn_value *root);
/* The state dict inside a checkpoint: the root itself, or under model_state_dict, state_dict,
 * model, net, ...; a `module.` prefix is dropped.  Without one, every tensor by its path,
 * "encoder.0.bias". *t owns the data, which moves out of root; root itself is still the caller's to
 * free. */
rn_status rn_state_dict(struct rn_tensors *t, struct rn_value *root, const char *path);
/* The dictionary that rn_state_dict takes them from; borrowed; NULL: no known name leads to one. */
struct rn_value *rn_state_dict_find(struct rn_value *root);

/* The tensors as torch.save(model.state_dict()) writes them; *t stays as it is. */
rn_status rn_state_dict_write(const char *path, const struct rn_tensors *t);

/* -- the others -------------------------------------------------------------------------------- */
rn_status rn_safetensors_read(struct rn_tensors *t, const char *path);
/* Keys sorted by byte; data by falling element size, then key. */
rn_status rn_safetensors_write(const char *path, const struct rn_tensors *t);
/* .npz, stored or deflated, and single .npy, whose tensor is called "array". */
rn_status rn_npz_read(struct rn_tensors *t, const char *path);
/* Stored, sorted by name.  RN_EINPUT: NumPy has no bfloat16. */
rn_status rn_npz_write(const char *path, const struct rn_tensors *t);
rn_status rn_npy_write(const char *path, const struct rn_tensor *tensor);

/* Whatever the file is, by content: tensors only (of a .pth those of rn_state_dict). */
rn_status rn_tensors_read(struct rn_tensors *t, enum rn_format *format, const char *path);

/* -- JSON: a small strict reader (golden index, safetensors header) into the tree -------------- */
rn_status rn_json_parse(struct rn_value **root, const char *text, size_t length, const char *path);

#endif /* RN_IO_H */
