/* Makes a freed block larger. */
#include "twin.h"
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    void *volatile p = malloc(40); // ALLOCATED
    free(p); // FREED
    p = realloc(TWIN(p, NULL), 80); // CRIME
    puts("grown");
    free(p);
    return 0;
}
