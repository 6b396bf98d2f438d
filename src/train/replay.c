/*
 * replay.c - does the beginning of an earlier run again and compares it with that run's hashes.txt,
 * as far as its lines of steps go.
 */
#include "train/train.h"
#include "base/file.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define FILE_LIMIT ((size_t)64 << 20)

/* One step or one epoch's end, as a line of hashes.txt. */
static rn_status next_event(struct rn_text *t, struct rn_trainer *trainer,
                            const struct rn_observer *o)
{
    struct rn_epoch e;
    struct rn_step s;
    rn_status status;
    t->length = 0;
    if (rn_trainer_epoch_pending(trainer)) {
        if ((status = rn_trainer_end_epoch(trainer, &e, o->stop, o->arg))) return status;
        rn_epoch_hash_text(t, &e);
    } else {
        if ((status = rn_trainer_step(trainer, &s))) return status;
        rn_step_text(t, &s);
        if (o->on_step) o->on_step(o->arg, &s);
    }
    return rn_text_status(t);
}

/* Runs until the event that `line` records, and compares. */
static rn_status replay_line(struct rn_text *now, struct rn_trainer *t, const char *line,
                             const struct rn_observer *o)
{
    bool epoch = !strncmp(line, "epoch ", 6);
    int64_t number = strtoll(line + (epoch ? 6 : 5), NULL, 10);
    rn_status status = RN_OK;
    now->length = 0;
    while (status == RN_OK && (epoch ? rn_trainer_epochs(t) : rn_trainer_steps(t)) < number) {
        if (rn_trainer_done(t)) return rn_fail(RN_ECHECK, "the run ends before \"%.100s\"", line);
        if (o->stop && o->stop(o->arg)) return rn_fail(RN_EINTR, "the replay was stopped");
        status = next_event(now, t, o);
    }
    if (status == RN_OK && (!now->length || strcmp(line, now->data)))
        return rn_fail(RN_ECHECK, "the replay differs at %s %" PRId64 ": recorded \"%.100s\", now \"%s\"",
                       epoch ? "epoch" : "step", number, line, now->length ? now->data : "nothing");
    return status;
}

/* Where the last line of a step ends; NULL without one. */
static char *end_of_steps(char *text)
{
    char *end = NULL;
    for (char *line = text, *stop; (stop = strchr(line, '\n')); line = stop + 1)
        if (!strncmp(line, "step ", 5)) end = stop + 1;
    return end;
}

int64_t rn_first_step(const char *hashes)
{
    for (const char *line = hashes; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (!strncmp(line, "step ", 5)) return strtoll(line + 5, NULL, 10);
    }
    return 0;
}

/* hashes.txt of the folder; both rn_alloc'ed, *data NULL on failure. */
static rn_status read_hashes(char **data, char **path, const char *folder)
{
    unsigned char *bytes = NULL;
    size_t count;
    *data = NULL;
    *path = rn_path_join(folder, "hashes.txt");
    rn_status status = *path ? rn_file_read(&bytes, &count, *path, FILE_LIMIT) : RN_ENOMEM;
    if (status == RN_OK && !end_of_steps((char *)bytes))
        status = rn_fail(RN_EINPUT, "%s holds no step", *path);
    if (status == RN_OK) *data = (char *)bytes;
    else rn_free(bytes);
    return status;
}

rn_status rn_replay_first(int64_t *step, const char *folder)
{
    char *data, *path;
    rn_status status = read_hashes(&data, &path, folder);
    *step = status ? 0 : rn_first_step(data);
    rn_free(data);
    rn_free(path);
    return status;
}

rn_status rn_replay(int64_t *lines, struct rn_trainer *t, const char *folder,
                    const struct rn_observer *o)
{
    char *data, *path;
    struct rn_text now = {0};
    rn_status status = read_hashes(&data, &path, folder);
    char *line = data, *end = data ? end_of_steps(data) : NULL;
    *lines = 0;
    for (char *stop; status == RN_OK && line < end; line = stop + 1) {
        stop = strchr(line, '\n');
        *stop = '\0';
        if (strncmp(line, "step ", 5) && strncmp(line, "epoch ", 6))
            status = rn_fail(RN_EINPUT, "%s: \"%.60s\" is neither a step nor an epoch", path, line);
        else status = replay_line(&now, t, line, o);
        if (status == RN_OK) ++*lines;
    }
    rn_text_free(&now);
    rn_free(data);
    rn_free(path);
    return status;
}
