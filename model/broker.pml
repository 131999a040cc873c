/* The server's quorum queue: single active consumer, prefetch one, what comes back goes to the head.
   A holder has two slots: the consumer of its connection, and of the one before, which the broker may not have missed. */

#define Q 6

byte queue[Q];    /* id + 1 */
byte returned[Q]; /* how often: its deliveries say so */
byte length;

bit consumes[4];  /* slot 2 * holder + its parity */
byte unacked[4];  /* id + 1 */
byte redelivered[4];
byte first_in_line;      /* slot + 1 */

inline enqueue(id) {
    assert(length < Q);
    queue[length] = id + 1; returned[length] = 0; length++
}

inline next_active() {
    if
    :: first_in_line && consumes[first_in_line - 1]
    :: else ->
        first_in_line = 0;
        for (x : 0 .. 3) {
            if
            :: !first_in_line && consumes[x] -> first_in_line = x + 1
            :: else
            fi
        }
    fi
}

/* The broker misses a consumer, or its channel closes. */
inline drop(c) {
    consumes[c] = 0;
    if
    :: unacked[c] ->
        assert(length < Q);
        x = length;
        do
        :: x > 0 -> queue[x] = queue[x - 1]; returned[x] = returned[x - 1]; x--
        :: else -> break
        od;
        queue[0] = unacked[c]; returned[0] = redelivered[c] + 1; length++;
        unacked[c] = 0; redelivered[c] = 0
    :: else
    fi;
    next_active()
}

inline deliver(c) {
    unacked[c] = queue[0]; redelivered[c] = returned[0];
    for (x : 0 .. Q - 2) { queue[x] = queue[x + 1]; returned[x] = returned[x + 1] }
    queue[Q - 1] = 0; returned[Q - 1] = 0; length--
}

/* What is published to the door is to land in the journal (1) and in the queue (2), in either order. */
byte flies[N];

#define GONE(c) ((consumes[c] || unacked[c]) && ((c) != SLOT((c) / 2) || pc[(c) / 2] <= CONNECT || frozen[(c) / 2]))
#define DROPS(c) :: d_step { GONE(c) -> drop(c) }
#if MISS || FAILS
#define LANDS(id) \
    :: d_step { flies[id] & 1 -> flies[id] = flies[id] & 2; told(id) } \
    :: d_step { flies[id] & 2 -> flies[id] = flies[id] & 1; enqueue(id) }
#else
#define LANDS(id) :: d_step { flies[id] -> flies[id] = 0; told(id); enqueue(id) }
#endif

proctype Broker() {
end:
    do
    :: d_step { first_in_line && unacked[first_in_line - 1] == 0 && length -> z = first_in_line - 1; deliver(z) }
    /* a consumer whose process has gone, stands still, or uses a newer connection, is missed in the end */
    DROPS(0) DROPS(1) DROPS(2) DROPS(3)
    LANDS(0)
#if N > 1
    LANDS(1)
#endif
#if N > 2
    LANDS(2) LANDS(3)
#endif
#if N > 4
    LANDS(4) LANDS(5)
#endif
    od
}
