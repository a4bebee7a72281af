/* The crime happens in a library that the program opens; its path is the first argument. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments)
{
    void *library = dlopen(count > 1 ? arguments[1] : "", RTLD_NOW);
    if (library == NULL)
        return 1;
    void (*fill)(char *, int) = (void (*)(char *, int))dlsym(library, "fill");
    char *p = malloc(80); // ALLOCATED
    fill(p, 80);
    printf("%d\n", p[79]);
    free(p);
    dlclose(library);
    return 0;
}
