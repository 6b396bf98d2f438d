/*
 * profile.c - ./profile: where the time of training or inference goes.  How it is recorded: observe/span.h; what the
 * tables say: docs/profiling.md.
 */
#include "tools/cli/stop.h"
#include "tools/profile/run.h"

#include <stdio.h>

static rn_status show(struct profile_run *r)
{
    struct rn_text json = {0};
    if (!opt_switch(r->o, "json")) {
        if (!opt_switch(r->o, "quiet")) fputs(r->profile.summary.data, stdout);
        return RN_OK;
    }
    profile_add_json(&json, r);
    rn_status status = rn_text_status(&json);
    if (!status) fputs(json.data, stdout);
    rn_text_free(&json);
    return status;
}

int main(int argc, char **argv)
{
    static struct opt_set o;
    static struct profile_run r;
    r.o = &o;
    opt_begin(&o, "profile", "shows where the time of training or inference goes");
    profile_add_rows(&o);
    rn_status status = opt_parse(&o, argc, argv);
    if (!status && opt_switch(&o, "help")) opt_print_help(&o);
    else if (!status && opt_switch(&o, "version")) opt_print_version(&o);
    else if (!status) {
        tool_stop_catch();
        status = profile_run(&r);
        if (r.profile.summary_path && r.profile.summary.data) {
            const rn_status shown = show(&r); /* also where the files could not be written */
            if (!status) status = shown;
        }
    }
    const int code = tool_exit("profile", status);
    profile_run_end(&r);
    opt_end(&o);
    return !code && tool_stop_asked(NULL) ? 128 + tool_stop_asked(NULL) : code;
}
