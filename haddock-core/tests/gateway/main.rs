//! The gateway, with real sockets.

mod adopted;
mod bodies;
mod disk;
mod failures;
mod hygiene;
mod recorded;
mod traffic;
mod world;

mod gateway_keeps_the_contract {
    use crate::world::World;

    haddock_core::locator_suite!(World::new(false).await);
}

mod remote_keeps_the_contract {
    use crate::world::World;

    haddock_core::locator_suite!(World::new(true).await);
}
