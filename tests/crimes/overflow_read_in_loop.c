/* The sum that takes one number too many. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

static long sum(const volatile long *numbers, int count)
{
    long total = 0;
    int i = 0;
    while (i TWIN(<=, <) count) total += numbers[i++]; // CRIME
    return total;
}

int main(void)
{
    long *numbers = calloc(30, sizeof *numbers); // ALLOCATED
    numbers[29] = 7;
    printf("%ld\n", sum(numbers, 30));
    free(numbers);
    return 0;
}
