/* program.c - what programs have in common that are one function of their settings, and of one net. */
#include "tools/cli/options.h"

#include "include/resnet.h"

int tool_main(const struct tool *t, int argc, char **argv)
{
    struct opt_set o;
    opt_begin(&o, t->name, t->summary);
    for (size_t i = 0; i < RN_COUNT(t->table) && t->table[i].rows; i++)
        opt_add(&o, t->table[i].rows, t->table[i].count);
    o.max_positionals = t->positionals;
    rn_status status = opt_parse(&o, argc, argv);
    if (!status && opt_switch(&o, "help")) opt_print_help(&o);
    else if (!status && opt_switch(&o, "version")) opt_print_version(&o);
    else if (!status) status = t->run(&o);
    opt_end(&o);
    return tool_exit(t->name, status);
}

rn_status tool_net(struct rn_net_config *c, const struct opt_set *o)
{
    enum rn_stem stem;
    c->image_size = (int)opt_int(o, "image-size");
    c->upsample = (int)opt_int(o, "upsample");
    rn_status status = rn_stem_parse(&stem, opt_text(o, "stem"));
    if (status) return status;
    return rn_arch_named(&c->arch, opt_text(o, "arch"), stem, (int)opt_int(o, "num-classes"));
}
