/* One struct too many: its last member is written first. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

struct point { double x, y, z; };

int main(void)
{
    struct point *points = malloc(10 * sizeof *points); // ALLOCATED
    volatile struct point *last = &points[TWIN(10, 9)];
    last->z = 3; // CRIME
    puts("written");
    free(points);
    return 0;
}
