/* device.c - the device that --backend, --isa, --numerics and --threads ask for. */
#include "tools/cli/options.h"

#include "base/threads.h"
#include "include/resnet.h"

rn_status tool_device_open(struct tool_device *d, const struct opt_set *o)
{
    *d = (struct tool_device){ .threads = (int)opt_int(o, "threads") };
    const struct rn_ops *ops;
    rn_status status = rn_selfcheck(d->threads);
    if (!status) status = rn_backend_find(&ops, opt_text(o, "backend"), opt_text(o, "numerics"));
    if (status) return status;
    struct rn_device_options options = { .threads = d->threads, .isa = opt_text(o, "isa"),
                                         .numerics = opt_text(o, "numerics") };
    status = ops->open(&d->dev, &options);
    if (!status) d->ops = ops;
    return status;
}

void tool_device_close(struct tool_device *d)
{
    if (d->ops) d->ops->close(d->dev);
    *d = (struct tool_device){ 0 };
}
