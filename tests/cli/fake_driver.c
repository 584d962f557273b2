/* A driver and NVML of two GPUs, for machines without one. The driver's order is not that of NVML: a program
   that confuses their numbers shows the wrong memory. Nothing computes on them. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static const char *const names[] = {"Fake GPU A", "Fake GPU B"};
static const char *const uuids[] = {
    "GPU-0a000000-0000-0000-0000-000000000001", "GPU-0b000000-0000-0000-0000-000000000002"};
static const uint64_t gib = 1ull << 30;

int cuInit(unsigned flags) { return flags ? 1 : 0; }
int cuDriverGetVersion(int *version) { return *version = 13000, 0; }
int cuDeviceGetCount(int *count) { return *count = 2, 0; }
int cuDeviceGet(int *device, int index) { return *device = index, index < 0 || index > 1; }
int cuDeviceGetName(char *name, int room, int device) { return strncpy(name, names[device], room), 0; }
int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    if (attribute != 75 && attribute != 76)
        return 1;
    *value = attribute == 75 ? (device ? 9 : 6) : (device ? 0 : 1);
    return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = (device ? 80 : 8) * gib, 0; }
int cuDeviceGetUuid_v2(unsigned char *uuid, int device)
{
    memset(uuid, 0, 16);
    uuid[0] = device ? 0x0b : 0x0a;
    uuid[15] = device ? 2 : 1;
    return 0;
}

/* NVML: its first GPU is the driver's second. */
struct memory { uint64_t total, free, used; };
static struct memory memories[] = {{80ull << 30, 70ull << 30, 10ull << 30}, {8ull << 30, 5ull << 30, 3ull << 30}};

int nvmlInit_v2(void) { return 0; }
int nvmlSystemGetDriverVersion(char *version, unsigned room) { return strncpy(version, "580.65.06", room), 0; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device)
{
    for (int index = 0; index < 2; index++)
        if (strcmp(uuid, uuids[1 - index]) == 0)
            return *device = &memories[index], 0;
    return 6;
}
int nvmlDeviceGetMemoryInfo(void *device, struct memory *memory) { return *memory = *(struct memory *)device, 0; }
