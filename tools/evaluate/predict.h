/* predict.h - what a net says of single pictures, as text and as JSON. */
#ifndef RN_EVALUATE_PREDICT_H
#define RN_EVALUATE_PREDICT_H

#include "tools/evaluate/evaluator.h"

/* Reads the pictures into the evaluator, which may have no data yet, as its validation images without labels.
 * Each is resized and cut as the net's own images were: a folder's like torchvision's presets, short side
 * rn_resize_side, then the middle; those of a set whose images have the net's size just by the short side.
 * One that cannot be used is said on stderr with the reason and leaves the list, whose order stays.
 * RN_EINPUT: none can be used. */
rn_status tool_predict_read(struct tool_evaluator *v, const char **path, int *count);

/* Answer and the five likeliest classes of each; e: a run over those pictures, with logits. */
void tool_predictions_text(struct rn_text *t, const struct tool_evaluation *e, const char *const *path);
/* Keys of one object, without the braces around them. */
void tool_predictions_json(struct rn_text *t, const struct tool_evaluation *e, const char *const *path);

#endif /* RN_EVALUATE_PREDICT_H */
