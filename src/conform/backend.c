#define _POSIX_C_SOURCE 200809L
/*
 * backend.c - finds an op table by name, or loads one from a shared object, and refuses tables that
 * could not be called: another version, another size, empty slots.
 *
 * What it does not do: judge what the slots compute (golden_check.c) or unload a plug-in; a loaded
 * table stays valid until the process ends.
 */
#include "resnet.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/text.h"
#include "conform/slots.h"

#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>

#define PLUGIN_SYMBOL "rn_backend_table"

static const char *const slot_names[] = {
#define SLOT_NAME(name) #name,
    RN_SLOTS(SLOT_NAME)
#undef SLOT_NAME
};

const char *rn_slot_name(enum rn_slot slot)
{
    return (size_t)slot < RN_COUNT(slot_names) ? slot_names[slot] : "?";
}

rn_status rn_backend_validate(const struct rn_ops *ops, const char *from)
{
    if (!ops) return rn_fail(RN_EINPUT, "%s: gives no op table", from);
    if (ops->version != RN_BACKEND_VERSION)
        return rn_fail(RN_EINPUT, "%s: op table of version %u; this program has version %d", from,
                       (unsigned)ops->version, RN_BACKEND_VERSION);
    if (ops->struct_bytes != sizeof(struct rn_ops))
        return rn_fail(RN_EINPUT, "%s: op table of %u bytes; this program's has %zu", from,
                       (unsigned)ops->struct_bytes, sizeof(struct rn_ops));
    if (!ops->numerics) return rn_fail(RN_EINPUT, "%s: op table without a list of numerics", from);
    if (!ops->name) return rn_fail(RN_EINPUT, "%s: op table without a name", from);
#define REFUSE_HOLE(slot) \
    if (!ops->slot) return rn_fail(RN_EINPUT, "%s: slot %s of the op table is empty", from, #slot);
    RN_SLOTS(REFUSE_HOLE)
#undef REFUSE_HOLE
    return RN_OK;
}

static bool is_path(const char *name)
{
    size_t length = strlen(name);
    return strchr(name, '/') || (length > 3 && strcmp(name + length - 3, ".so") == 0);
}

/* The plug-in's function.  dlsym gives a data pointer; copying its bytes is how POSIX means it. */
static rn_status plugin_function(rn_backend_table_fn **function, void *library, const char *path)
{
    void *symbol = dlsym(library, PLUGIN_SYMBOL);
    if (!symbol) return rn_fail(RN_EINPUT, "%s: does not export " PLUGIN_SYMBOL, path);
    memcpy(function, &symbol, sizeof symbol);
    return RN_OK;
}

/* A bare file name gets "./", because the loader would look for it elsewhere. */
static rn_status load(const struct rn_ops **ops, const char *name)
{
    rn_status status = RN_OK;
    void *library = NULL;
    rn_backend_table_fn *function = NULL;
    const struct rn_ops *table = NULL;
    char *path = strchr(name, '/') ? rn_strdup(name) : rn_path_join(".", name);
    if (!path) return RN_ENOMEM;
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode)) {
        status = rn_fail(RN_EINPUT, "%s: no such file, or not a regular one", path);
        goto done;
    }
    if (!(library = dlopen(path, RTLD_NOW | RTLD_LOCAL))) {
        const char *reason = dlerror();
        status = rn_fail(RN_EINPUT, "%s: cannot be loaded: %s", path, reason ? reason : "?");
        goto done;
    }
    if ((status = plugin_function(&function, library, path))) goto done;
    table = function();
    status = rn_backend_validate(table, path);
done:
    if (status == RN_OK) *ops = table;
    else if (library) dlclose(library);
    rn_free(path);
    return status;
}

/* The first of the tables of backend `name`, which end with NULL, that has the numerics. */
static rn_status choose(const struct rn_ops **ops, const struct rn_ops *const *table, const char *name,
                        const char *numerics)
{
    struct rn_text all = { 0 };
    char shown[64], backend[256];
    for (; *table; table++) {
        if (!numerics || !*numerics || rn_listed((*table)->numerics, numerics)) {
            *ops = *table;
            rn_text_free(&all);
            return RN_OK;
        }
        rn_text_add(&all, "%s%s", all.length ? " " : "", (*table)->numerics);
    }
    rn_status status = rn_text_status(&all);
    if (!status)
        status = rn_fail(RN_EUSAGE, "backend %s does not have the numerics '%s'; it has: %s",
                         rn_printable(backend, sizeof backend, name, strlen(name)),
                         rn_printable(shown, sizeof shown, numerics, strlen(numerics)), all.data);
    rn_text_free(&all);
    return status;
}

#ifdef RN_HAVE_CUDA /* make CUDA=1 */
static rn_status choose_cuda(const struct rn_ops **ops, const char *numerics)
{
    const char *libraries;
    const struct rn_ops *const cuda[] = { &rn_ops_cuda, rn_cuda_fast(&libraries), NULL };
    if (!cuda[1] && numerics && rn_listed("fast fast-fp16 fast-bf16", numerics))
        return rn_fail(RN_EFAIL, "backend cuda: --numerics %s needs cuDNN 9 and cuBLAS, which this build did not find: "
                       "install them, or say where they are, and build anew: make CUDA=1 CUDNN_ROOT=FOLDER", numerics);
    return choose(ops, cuda, "cuda", numerics);
}
#else
const char *rn_cuda_build(void) { return ""; }

const struct rn_ops *rn_cuda_fast(const char **libraries)
{
    *libraries = "";
    return NULL;
}

static rn_status choose_cuda(const struct rn_ops **ops, const char *numerics)
{
    (void)ops, (void)numerics;
    return rn_fail(RN_EFAIL, "backend cuda is not in this build");
}
#endif

rn_status rn_backend_find(const struct rn_ops **ops, const char *name, const char *numerics)
{
    static const char *const known[] = { "ref", "cpu", "cuda" };
    static const struct rn_ops *const ref[] = { &rn_ops_ref, NULL };
    static const struct rn_ops *const cpu[] = { &rn_ops_cpu, &rn_ops_cpu_bf16, NULL };
    char shown[80];
    if (!name || !*name) return rn_fail(RN_EUSAGE, "--backend: empty name");
    if (strcmp(name, "ref") == 0) return choose(ops, ref, name, numerics);
    if (strcmp(name, "cpu") == 0) return choose(ops, cpu, name, numerics);
    if (strcmp(name, "cuda") == 0) return choose_cuda(ops, numerics);
    if (is_path(name)) {
        const struct rn_ops *plugin[2] = { NULL };
        rn_status status = load(&plugin[0], name);
        return status ? status : choose(ops, plugin, name, numerics);
    }
    const char *nearest = rn_nearest(name, known, RN_COUNT(known));
    rn_printable(shown, sizeof shown, name, strlen(name));
    if (nearest)
        return rn_fail(RN_EUSAGE, "unknown backend '%s'; did you mean '%s'?", shown, nearest);
    return rn_fail(RN_EUSAGE, "unknown backend '%s'; there are ref, cpu, cuda and paths of shared "
                   "objects", shown);
}
