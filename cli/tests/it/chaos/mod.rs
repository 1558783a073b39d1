//! Workers die and are replaced, again and again, while runs of every kind go on: every run ends as it should, and
//! nothing that it does or says is done or said twice.

mod load;
mod next;
mod oracle;
mod scene;
mod sink;
mod upgrade;

use std::time::{Duration, Instant};

use self::scene::{Hands, Scene, Settings};
use crate::world::World;

/// How often the worker is killed.
const KILLS: usize = 10;
/// How often it is replaced.
const SWAPS: usize = 4;
/// The longest that a worker may take to end when it is told to: a supervisor's patience is 30 s.
const ENDS_WITHIN: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn killed_workers_lose_nothing_and_do_nothing_twice() {
    let began = Instant::now();
    let Scene { mut world, hands, shop, settings } = Scene::set(load::plan(1)).await;
    let commands = hands.commands(&world);
    let (hits, ()) = tokio::join!(kill(&mut world, &hands, &settings), hands.load(commands));
    let report = oracle::check(&hands, &world).await;
    let summary = format!(
        "{KILLS} kills in {} s, {hits} of them while a request was done and not answered\n{report}",
        began.elapsed().as_secs()
    );
    println!("{summary}");
    assert!(hits * 2 >= KILLS && report.has_seen_chaos(), "the kills met too little: {summary}");
    shop.stop().await.unwrap();
    world.end().await;
}

/// Kills the worker and starts it again each time that a part of the runs has ended, if it can be while a request is
/// done whose answer it does not have. Returns how often it could.
async fn kill(world: &mut World, hands: &Hands, settings: &Settings) -> usize {
    let mut hits = 0;
    for kill in 1..=KILLS {
        hands.part(kill, KILLS + 1).await;
        hits += usize::from(hands.sink.hanging() > 0);
        world.kill("worker");
        world.start("worker", &settings.of_worker()).await;
    }
    hits
}

/// A rolling deployment, several times over, while runs go on: a second worker starts, then the first is told to
/// end. The second half of the deployments brings another release, whose workflow takes another path.
#[tokio::test(flavor = "multi_thread")]
async fn workers_are_replaced_under_load_also_by_those_of_another_release() {
    let mut plan = load::plan(2);
    plan.retain(|one| one.kind.activity != next::NOT_DONE);
    let Scene { mut world, hands, shop, settings } = Scene::set(plan).await;
    let commands = hands.commands(&world);
    let (longest, ()) = tokio::join!(replace(&mut world, &hands, &settings), hands.load(commands));
    let report = oracle::check(&hands, &world).await;
    let patched = oracle::count_patched(&hands, &world).await;
    println!("{SWAPS} replacements, the slowest end took {longest:?}, {patched} runs took the new path\n{report}");
    assert!(longest < ENDS_WITHIN, "a worker took {longest:?} to end");
    assert!(patched > 0 && patched < hands.plan.len() / 2, "{patched} runs took the new path");
    shop.stop().await.unwrap();
    world.end().await;
}

/// Returns the longest time that a worker took to end.
async fn replace(world: &mut World, hands: &Hands, settings: &Settings) -> Duration {
    let mut longest = Duration::ZERO;
    let mut names = ["worker", "other worker"];
    for swap in 1..=SWAPS {
        hands.part(swap, SWAPS + 1).await;
        let [old, new] = names;
        match swap * 2 <= SWAPS {
            true => world.launch(new, settings.worker(world)).await,
            false => world.launch(new, settings.next_worker(world)).await,
        }
        longest = longest.max(world.stop(old).await);
        names = [new, old];
    }
    longest
}
