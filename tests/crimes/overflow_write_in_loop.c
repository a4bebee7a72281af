/* The loop that runs once too often. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    int count = 100;
    int *numbers = malloc(count * sizeof *numbers); // ALLOCATED
    for (int i = 0; i TWIN(<=, <) count; i++)
        numbers[i] = i * i; // CRIME
    printf("%d\n", numbers[99]);
    free(numbers);
    return 0;
}
