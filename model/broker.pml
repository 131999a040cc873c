/* The server's quorum queue: single active consumer, prefetch one; a returned message goes to the head.
   A holder has two slots: the consumer of its connection, and that of its previous connection. The broker may not have
   noticed yet that the previous one is lost. */

#define Q 6

byte queue[Q];    /* id + 1 */
byte delivery_count[Q];   /* how often the message was returned; each delivery carries this count */
byte length;

bit consumes[4];  /* by slot: 2 * holder + its parity */
byte unacked[4];  /* id + 1 */
byte unacked_count[4];   /* the delivery count of the unacked message */
byte first_in_line;      /* the slot of the active consumer, + 1 */

inline enqueue(id) {
    assert(length < Q);
    queue[length] = id + 1; delivery_count[length] = 0; length++
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

/* The broker loses a consumer, or the channel closes: its unacked message returns to the head. */
inline drop(c) {
    consumes[c] = 0;
    if
    :: unacked[c] ->
        assert(length < Q);
        x = length;
        do
        :: x > 0 -> queue[x] = queue[x - 1]; delivery_count[x] = delivery_count[x - 1]; x--
        :: else -> break
        od;
        queue[0] = unacked[c]; delivery_count[0] = unacked_count[c] + 1; length++;
        unacked[c] = 0; unacked_count[c] = 0
    :: else
    fi;
    next_active()
}

inline deliver(c) {
    unacked[c] = queue[0]; unacked_count[c] = delivery_count[0];
    for (x : 0 .. Q - 2) { queue[x] = queue[x + 1]; delivery_count[x] = delivery_count[x + 1] }
    queue[Q - 1] = 0; delivery_count[Q - 1] = 0; length--
}

/* A published message will reach the journal (1) and the queue (2), in either order. */
byte in_flight[N];

#define GONE(c) ((consumes[c] || unacked[c]) && ((c) != SLOT((c) / 2) || pc[(c) / 2] <= CONNECT || frozen[(c) / 2]))
#define DROPS(c) :: d_step { GONE(c) -> drop(c) }
#if MISS || FAILS
#define LANDS(id) \
    :: d_step { in_flight[id] & 1 -> in_flight[id] = in_flight[id] & 2; published(id) } \
    :: d_step { in_flight[id] & 2 -> in_flight[id] = in_flight[id] & 1; enqueue(id) }
#else
#define LANDS(id) :: d_step { in_flight[id] -> in_flight[id] = 0; published(id); enqueue(id) }
#endif

proctype Broker() {
end:
    do
    :: d_step { first_in_line && unacked[first_in_line - 1] == 0 && length -> z = first_in_line - 1; deliver(z) }
    /* the broker eventually drops a consumer whose process died, is frozen, or uses a newer connection */
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
