/*
 * conform.c - ./conform --grad checks every gradient of a backend against central differences in
 * double; --write-golden DIR writes what the reference computes; --check-golden DIR judges a
 * backend by it.  Findings go to stdout, a line each; with --json one object.
 */
#include "base/mem.h"
#include "base/real.h"
#include "base/text.h"
#include "conform/conform.h"
#include "resnet.h"
#include "tools/cli/options.h"

#include <stdio.h>
#include <string.h>

static const struct opt rows[] = {
    { "grad", OPT_SWITCH, NULL, 0, 0, NULL, NULL,
      "check gradients of every op and of a small net, a line per tensor", "conform" },
    { "write-golden", OPT_TEXT, NULL, 0, 0, NULL, "DIR",
      "write inputs and outputs of every slot, made by the reference", "conform" },
    { "check-golden", OPT_TEXT, NULL, 0, 0, NULL, "DIR",
      "judge the backend by a golden pack: same, legal or wrong", "conform" },
};

/* Findings as they come: lines at once, JSON kept for the end. */
struct output { bool json; struct rn_text text; int count; int same, legal, failed; };

static void put_real(struct rn_text *t, const char *name, double x)
{
    rn_text_add(t, ",\"%s\":", name);
    if (rn_finite64(x)) rn_text_number(t, x);
    else rn_text_add(t, "null");
}

static void put_word(struct rn_text *t, const char *before, const char *name, const char *word)
{
    rn_text_add(t, "%s\"%s\":", before, name);
    rn_text_json(t, word);
}

static void add_json(struct output *out, const struct rn_finding *f)
{
    put_word(&out->text, out->count ? ",\n {" : "\n {", "op", f->op);
    put_word(&out->text, ",", "part", f->part);
    put_word(&out->text, ",", "geometry", f->geometry);
    put_word(&out->text, ",", "variant", f->variant);
    put_word(&out->text, ",", "verdict", f->verdict);
    put_real(&out->text, "error", f->error);
    put_real(&out->text, "limit", f->limit);
    put_word(&out->text, ",", "detail", f->detail);
    rn_text_add(&out->text, "}");
}

static void take(void *arg, const struct rn_finding *f)
{
    struct output *out = arg;
    bool good = strcmp(f->verdict, "ok") == 0 || strcmp(f->verdict, "same") == 0;
    bool legal = strcmp(f->verdict, "legal") == 0;
    if (out->json) {
        add_json(out, f);
    } else {
        struct rn_text line = { 0 };
        rn_finding_text(&line, f);
        if (!line.failed) puts(line.data);
        rn_text_free(&line);
    }
    out->count++;
    out->same += good;
    out->legal += legal;
    out->failed += !good && !legal;
}

/* Which of the three was asked for; exactly one must be. */
static rn_status mode_of(const char **mode, const struct opt_set *o)
{
    int given = 0;
    *mode = "";
    if (opt_switch(o, "grad")) *mode = "grad", given++;
    if (opt_text(o, "write-golden")) *mode = "write-golden", given++;
    if (opt_text(o, "check-golden")) *mode = "check-golden", given++;
    if (given == 1) return RN_OK;
    return rn_fail(RN_EUSAGE, "%s of --grad, --write-golden, --check-golden is needed; see --help",
                   given ? "only one" : "one");
}

static rn_status write_pack(const struct opt_set *o)
{
    const char *folder = opt_text(o, "write-golden"), *backend = opt_text(o, "backend");
    if (opt_given(o, "backend") && strcmp(backend, "ref") != 0)
        return rn_fail(RN_EUSAGE, "--backend %s: golden packs are written by ref alone", backend);
    rn_status status = rn_golden_write(folder, opt_text(o, "numerics"));
    if (status == RN_OK && opt_switch(o, "json")) {
        struct rn_text line = { 0 };
        put_word(&line, "{", "mode", "write-golden");
        put_word(&line, ",", "folder", folder);
        rn_text_add(&line, "}");
        if ((status = rn_text_status(&line)) == RN_OK) puts(line.data);
        rn_text_free(&line);
    } else if (status == RN_OK && !opt_switch(o, "quiet")) {
        fprintf(stderr, "golden pack written to %s\n", folder);
    }
    return status;
}

static rn_status print_json(const struct output *out, const struct tool_device *d, const char *mode,
                            const char *numerics)
{
    struct rn_text head = { 0 };
    put_word(&head, "{", "mode", mode);
    put_word(&head, ",", "backend", d->ops->name);
    put_word(&head, ",", "isa", d->ops->isa(d->dev));
    put_word(&head, ",", "numerics", numerics);
    rn_text_add(&head, ",\"threads\":%d,\"checked\":%d,\"same\":%d,\"legal\":%d,\"failed\":%d,"
                "\"results\":[", d->threads, out->count, out->same, out->legal, out->failed);
    rn_status status = rn_text_status(&head);
    if (status == RN_OK) status = rn_text_status(&out->text);
    if (status == RN_OK) printf("%s%s\n]}\n", head.data, out->text.data ? out->text.data : "");
    rn_text_free(&head);
    return status;
}

static rn_status judge(const struct opt_set *o, const char *mode)
{
    struct tool_device d;
    struct output out = { .json = opt_switch(o, "json") };
    rn_status status = tool_device_open(&d, o);
    if (status) return status;
    bool grad = strcmp(mode, "grad") == 0;
    const char *numerics = opt_text(o, "numerics"), *pack = opt_text(o, "check-golden");
    if (grad) status = rn_gradcheck(d.ops, d.dev, numerics, take, &out);
    else status = rn_golden_check(pack, d.ops, d.dev, numerics, take, &out);
    if (out.json && (status == RN_OK || status == RN_ECHECK)) {
        rn_status printed = print_json(&out, &d, mode, numerics);
        if (printed) status = printed;
    } else if (!out.json && grad && out.count) {
        printf("%s, %s, %s: %d checked, %d ok, %d failed\n", d.ops->name, d.ops->isa(d.dev), numerics,
               out.count, out.same, out.failed);
    } else if (!out.json && out.count) {
        printf("%s, %s, %s: %d cases, %d same, %d legal, %d failed\n", d.ops->name,
               d.ops->isa(d.dev), numerics, out.count, out.same, out.legal, out.failed);
    }
    rn_text_free(&out.text);
    tool_device_close(&d);
    return status;
}

static rn_status run(struct opt_set *o)
{
    const char *mode;
    rn_status status = mode_of(&mode, o);
    if (status) return status;
    return strcmp(mode, "write-golden") == 0 ? write_pack(o) : judge(o, mode);
}

int main(int argc, char **argv)
{
    const struct tool conform = {
        .name = "conform", .run = run,
        .summary = "judges a backend: gradients, and results against golden packs",
        .table = { { opt_common, opt_common_count }, { rows, RN_COUNT(rows) } },
    };
    return tool_main(&conform, argc, argv);
}
