// The crime in the destructor of a static object, after main has returned.
#include "twin.h"
#include <cstdio>

struct Log {
    volatile char *text;
    Log() : text(new char[32]) {} // ALLOCATED
    ~Log()
    {
        text[TWIN(32, 31)] = 0; // CRIME
        delete[] text;
    }
};

static Log global_log;

int main()
{
    std::puts("main");
}
