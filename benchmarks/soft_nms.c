/* The yardstick of the benchmark: plain Gaussian soft-NMS of one class of one video, in C.
   segments: n pairs (start, end); scores: n, overwritten by the final scores (0: suppressed). */

#include <math.h>
#include <stdlib.h>

void soft_nms(const float *segments, float *scores, int n, float sigma, float min_score)
{
    float *s = malloc(3 * n * sizeof *s), *score = malloc(n * sizeof *score);
    int *index = malloc(n * sizeof *index), left = 0;
    for (int i = 0; i < n; i++) {
        if (scores[i] >= min_score) {
            s[3 * left] = segments[2 * i];
            s[3 * left + 1] = segments[2 * i + 1];
            s[3 * left + 2] = segments[2 * i + 1] - segments[2 * i];
            score[left] = scores[i];
            index[left++] = i;
        }
        scores[i] = 0;
    }
    while (left > 0) {
        int best = 0, kept = 0;
        for (int i = 1; i < left; i++)
            if (score[i] > score[best]) best = i;
        float start = s[3 * best], end = s[3 * best + 1], length = s[3 * best + 2];
        scores[index[best]] = score[best];
        for (int i = 0; i < left; i++) {
            if (i == best) continue;
            float inner = fminf(end, s[3 * i + 1]) - fmaxf(start, s[3 * i]);
            float decayed = score[i];
            if (inner > 0) {
                float iou = inner / (length + s[3 * i + 2] - inner);
                decayed *= expf(-iou * iou / sigma);
            }
            if (decayed < min_score) continue;
            s[3 * kept] = s[3 * i]; s[3 * kept + 1] = s[3 * i + 1]; s[3 * kept + 2] = s[3 * i + 2];
            score[kept] = decayed; index[kept++] = index[i];
        }
        left = kept;
    }
    free(s); free(score); free(index);
}
