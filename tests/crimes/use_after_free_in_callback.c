/* A comparison, called by the C library, counts in a block that is gone. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

static volatile long *calls;

static int compare(const void *left, const void *right)
{
    calls[1] = 1; // CRIME
    return *(const int *)left - *(const int *)right;
}

int main(void)
{
    int numbers[] = { 3, 1, 2 };
    calls = calloc(2, sizeof *calls); // ALLOCATED
    free(TWIN((void *)calls, NULL)); // FREED
    qsort(numbers, 3, sizeof *numbers, compare);
    printf("%d\n", numbers[0]);
    return 0;
}
