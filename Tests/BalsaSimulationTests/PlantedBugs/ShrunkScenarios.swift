/// The scenarios in which the planted errors are found, shrunk to the faults that it takes.
///
/// Made by `balsa simulate --seeds 1..4000 --duration 8s --break NAME --shrink FILE`, to be made anew where a change of the
/// members' timing lets one of them pass.
enum ShrunkScenarios {
    /// Finds `vote-not-persisted`.
    static let voteNotPersisted = """
        balsa-scenario 1
        seed=1
        members=3
        duration=3283766883
        settling=15000000000
        core=10
        clients=1
        keys=4
        thinking=60000000
        patience=2000000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        max-frame=8192
        writes-in-flight=2
        log-bound=524288
        log-cache=65536
        checkpoint-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        fault 2141814822 kill-in-call member=1 lasts=1000000000 rate=46 salt=159171130960056
        """

    /// Finds `ack-before-own-sync`.
    static let ackBeforeOwnSync = """
        balsa-scenario 1
        seed=153
        members=3
        duration=8000000000
        settling=15000000000
        core=14
        clients=5
        keys=4
        thinking=100000000
        patience=2000000000
        value-bytes=600
        network-delay=67000
        network-jitter=5000000
        write-time=444000
        sync-time=20000000
        garbage=1
        clock-drift=50
        sector-bytes=1024
        smallest-segment=8192
        largest-segment=8192
        max-frame=4096
        writes-in-flight=1
        log-bound=344064
        log-cache=2048
        checkpoint-after=57344
        entries-kept=10
        max-append=700
        inflight-messages=2
        inflight-bytes=2000
        fault 1825615259 slow-disk member=1 lasts=1000000000 rate=10 salt=174904925949921
        fault 2373976805 duplication lasts=50000000 rate=100 salt=219545207076151
        fault 2798514569 mute member=1 lasts=1000000000 salt=98401159295622
        fault 4409524448 duplication lasts=3000000000 rate=20 salt=212184674323788
        fault 4927869691 blackout member=2 lasts=1000000 salt=194589501819440
        fault 6493240212 blackout member=3 lasts=1000000000 salt=18870781852594
        """

    /// Finds `commit-old-term-by-counting`.
    static let commitOldTermByCounting = """
        balsa-scenario 1
        seed=120
        members=3
        duration=23999331309
        settling=15000000000
        core=6
        clients=6
        keys=3
        thinking=100000000
        patience=2000000000
        value-bytes=32
        network-delay=631000
        network-jitter=1000000
        write-time=427000
        sync-time=1000000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        max-frame=8192
        writes-in-flight=1
        log-bound=524288
        log-cache=65536
        checkpoint-after=262144
        entries-kept=100
        max-append=100
        inflight-messages=64
        inflight-bytes=200
        fault 964474981 kill member=1 lasts=100000000 salt=106252160702623
        fault 7503128996 kill member=2 lasts=1000000 salt=26194372334768
        fault 9753347948 power-loss-in-call member=2 lasts=20000000 rate=35 salt=97876074204160
        fault 10858462067 coups lasts=12000000000 rate=900 salt=239802495197621
        fault 13344333015 failed-sync member=3 lasts=3000000000 salt=240348471951958
        fault 17726646943 kill member=2 lasts=20000000 salt=72626105071797
        fault 19148597539 kill member=3 lasts=1000000 salt=277923640818082
        fault 20964446075 power-loss-in-call member=2 lasts=1000000 rate=7 salt=173242142659033
        fault 20966201575 kill member=1 lasts=1000000 salt=92010653306997
        fault 22928281582 coups lasts=12000000000 rate=600 salt=626579801690
        """

    /// Finds `truncate-without-conflict`.
    static let truncateWithoutConflict = """
        balsa-scenario 1
        seed=8
        members=3
        duration=8000000000
        settling=15000000000
        core=6
        clients=3
        keys=8
        thinking=10000000
        patience=2000000000
        value-bytes=32
        network-delay=1332000
        network-jitter=20000000
        write-time=97000
        sync-time=1000000
        garbage=1
        clock-drift=50
        sector-bytes=1024
        smallest-segment=32768
        largest-segment=131072
        max-frame=4096
        writes-in-flight=1
        log-bound=786432
        log-cache=0
        checkpoint-after=262144
        entries-kept=0
        max-append=700
        inflight-messages=64
        inflight-bytes=2000
        """

    /// Finds `acknowledge-beyond-sent`.
    static let acknowledgeBeyondSent = """
        balsa-scenario 1
        seed=14
        members=3
        duration=3613726880
        settling=15000000000
        core=14
        clients=4
        keys=6
        thinking=30000000
        patience=2000000000
        value-bytes=8
        network-delay=133000
        network-jitter=1000000
        write-time=363000
        sync-time=1000000
        garbage=1
        clock-drift=50
        sector-bytes=1024
        smallest-segment=16384
        largest-segment=16384
        max-frame=4096
        writes-in-flight=4
        log-bound=393216
        log-cache=65536
        checkpoint-after=98304
        entries-kept=10
        max-append=700
        inflight-messages=2
        inflight-bytes=2000
        fault 1468597325 no-space member=1 lasts=1000000000 salt=102714321939052
        fault 2183526536 power-loss-in-call member=2 lasts=400000000 rate=47 salt=14051714054252
        fault 2503181420 failed-read member=3 lasts=200000000 salt=80500531520479
        """

    /// Finds `read-before-first-commit`.
    static let readBeforeFirstCommit = """
        balsa-scenario 1
        seed=49
        members=3
        duration=8000000000
        settling=15000000000
        core=14
        clients=7
        keys=4
        thinking=60000000
        patience=2000000000
        value-bytes=600
        network-delay=1228000
        network-jitter=20000000
        write-time=395000
        sync-time=1000000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=65536
        largest-segment=262144
        max-frame=32768
        writes-in-flight=2
        log-bound=1179648
        log-cache=65536
        checkpoint-after=196608
        entries-kept=0
        max-append=700
        inflight-messages=8
        inflight-bytes=65536
        fault 2361763264 stalled-sync member=2 lasts=50000000 salt=276491318462436
        fault 4056916125 failed-read member=1 lasts=500000000 salt=210567230037237
        fault 4208451220 blackout member=3 lasts=1000000000 salt=221812305496500
        fault 5682246088 failed-read member=3 lasts=3000000000 salt=82864928657899
        """

    /// Finds `withhold-without-check-quorum`.
    static let withholdWithoutCheckQuorum = """
        balsa-scenario 1
        seed=1
        members=3
        duration=8000000000
        settling=15000000000
        core=10
        clients=1
        keys=4
        thinking=60000000
        patience=2000000000
        value-bytes=128
        network-delay=1222000
        network-jitter=100000
        write-time=143000
        sync-time=100000
        garbage=0
        clock-drift=50
        sector-bytes=4096
        smallest-segment=32768
        largest-segment=65536
        max-frame=8192
        writes-in-flight=2
        log-bound=524288
        log-cache=65536
        checkpoint-after=262144
        entries-kept=1
        max-append=100
        inflight-messages=2
        inflight-bytes=65536
        fault 7396000000 deaf member=2 lasts=60000000000 salt=184757568655689
        """

    /// Finds `stale-suffix-after-recycling`.
    static let staleSuffixAfterRecycling = """
        balsa-scenario 1
        seed=46
        members=3
        duration=6566478795
        settling=15000000000
        core=12
        clients=6
        keys=3
        thinking=10000000
        patience=2000000000
        value-bytes=600
        network-delay=1013000
        network-jitter=1000000
        write-time=56000
        sync-time=20000000
        garbage=0
        clock-drift=10
        sector-bytes=512
        smallest-segment=16384
        largest-segment=32768
        max-frame=4096
        writes-in-flight=3
        log-bound=262144
        log-cache=65536
        checkpoint-after=131072
        entries-kept=10
        max-append=100
        inflight-messages=8
        inflight-bytes=65536
        fault 2830735613 power-loss-of-leader member=1 lasts=20000000 salt=256250534951164
        fault 2894030927 stalled-sync member=3 lasts=8000000000 salt=240870330803413
        fault 6165478795 power-loss member=1 lasts=400000000 salt=126334057324079
        """
}
