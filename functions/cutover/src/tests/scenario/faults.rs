//! What goes wrong, what others do in between, and how time passes.

use super::*;

impl Scenario {
    /// The policy that should contain has another text, or is attached already.
    pub(in crate::tests) fn quarantine(&self, text: Option<&str>, attached: bool) {
        self.deps.world.with(|inner| {
            inner.quarantine = text.map(str::to_owned);
            if attached {
                inner.attached.insert(OLD.to_owned());
            }
        });
    }

    pub(in crate::tests) fn swap_package(&self) {
        let mut package = self.package.clone();
        package.expand = !package.expand;
        let bytes = canonical_json(&package).unwrap();
        let other = self.deps.world.with(|inner| put(inner, "other.json", bytes));
        self.approved.lock().unwrap().package = other;
    }

    pub(in crate::tests) async fn move_boundary(&self) {
        let moved = CurrentBoundary {
            boundary: "2026-02-01T00:00:00Z".parse().unwrap(),
            document: self.approved().plan,
        };
        assert!(
            self.deps
                .records
                .put_new(&Key::boundary(&self.run), &moved)
                .await
                .unwrap()
        );
    }

    /// The executor dies at this call of the ledger, before or after it acts.
    pub(in crate::tests) fn die_at_ledger_call(&self, call: usize, after: bool) {
        self.deps.records.die_at(call, after);
    }

    pub(in crate::tests) fn ledger_calls(&self) -> usize {
        self.deps.records.calls()
    }

    /// From this effect on, so many effects meet this fault.
    pub(in crate::tests) fn faults_from(&self, effect: usize, many: usize, fault: Fault) {
        self.deps.world.with(|inner| {
            inner.faults.extend((effect..effect + many).map(|at| (at, fault)));
        });
    }

    /// Tasks are retried so often, as in the definition.
    pub(in crate::tests) fn retry(&self, times: u32) {
        self.deps.world.with(|inner| inner.patience = Some(times));
    }

    pub(in crate::tests) fn no_more_faults(&self) {
        self.deps.world.with(|inner| inner.faults.clear());
    }

    /// Once so many effects are done, somebody else changes the document.
    pub(in crate::tests) fn edit_after(&self, effect: usize, slot: &Slot) {
        self.deps
            .world
            .with(|inner| inner.edit = Some((effect, slot.clone())));
    }

    /// Once so many effects are done, somebody else changes the records.
    pub(in crate::tests) fn retarget_after(&self, effect: usize) {
        self.deps.world.with(|inner| inner.retarget = Some(effect));
    }

    /// The name's records are what somebody else made of them.
    pub(in crate::tests) fn is_retargeted(&self) -> bool {
        self.deps.world.with(|inner| {
            let mut sets = inner.records.iter().filter(|set| set.name == SHOP);
            sets.all(|set| set.values == [SOMEWHERE])
        })
    }

    /// The share of the answers that name the new environment.
    pub(in crate::tests) fn share(&self) -> Option<u8> {
        self.deps.world.with(|inner| {
            let mut sets = inner.records.iter().filter(|set| set.name == SHOP);
            let new = sets.find(|set| set.values == ["198.51.100.7"])?;
            Some(new.weight.unwrap_or(100))
        })
    }

    /// What the new environment's certificate is worth from now on.
    pub(in crate::tests) fn certify(&self, untrusted: Option<Untrusted>) {
        self.deps.world.with(|inner| inner.untrusted = untrusted);
    }

    /// Under which name the checkers ask by HTTPS.
    pub(in crate::tests) fn asked_as(&self) -> Option<String> {
        self.deps.world.with(|inner| inner.asked_as.clone())
    }

    /// Puts the records back as they were, as an operator would.
    pub(in crate::tests) fn restore_records(&self) {
        self.deps.world.with(|inner| inner.records = records());
    }

    /// Two executors interleave in a way that depends on the seed.
    pub(in crate::tests) fn interleave(&self, seed: u64) {
        self.deps.world.with(|inner| inner.pace = Some(seed));
    }

    pub(in crate::tests) fn slots(&self) -> Vec<Slot> {
        self.documents
            .iter()
            .map(|document| document.slot.clone())
            .collect()
    }

    pub(in crate::tests) fn fault_at(&self, effect: usize, fault: Fault) {
        self.deps.world.with(|inner| inner.faults.insert(effect, fault));
    }

    pub(in crate::tests) fn fault_next(&self, fault: Fault) {
        self.deps
            .world
            .with(|inner| inner.faults.insert(inner.effects, fault));
    }

    pub(in crate::tests) fn repeat_every_operation(&self) {
        self.deps.world.with(|inner| inner.repeat = true);
    }

    pub(in crate::tests) fn effects(&self) -> usize {
        self.deps.world.with(|inner| inner.effects)
    }

    pub(in crate::tests) fn writes(&self) -> usize {
        self.deps.world.with(|inner| inner.writes)
    }

    pub(in crate::tests) fn let_seconds_pass(&self, seconds: i64) {
        self.deps.world.with(|inner| inner.clock += seconds * 1_000);
    }

    pub(in crate::tests) fn let_minutes_pass(&self, minutes: i64) {
        self.deps.world.with(|inner| inner.clock += minutes * 60_000);
    }

    pub(in crate::tests) fn let_days_pass(&self, days: i64) {
        self.deps.world.with(|inner| inner.clock += days * 86_400_000);
    }

    pub(in crate::tests) fn serve_nonce(&self, served: bool) {
        self.deps.world.with(|inner| inner.served = served);
    }

    pub(in crate::tests) fn checkers_are_content_with_anything(&self) {
        self.deps.world.with(|inner| inner.content_with_anything = true);
    }

    pub(in crate::tests) fn silence(&self, server: Option<&str>) {
        self.deps
            .world
            .with(|inner| inner.silent = server.map(str::to_owned));
    }

    pub(in crate::tests) fn edit(&self, slot: &Slot, text: String) {
        self.deps
            .world
            .with(|inner| inner.documents.insert(slot.clone(), text));
    }
}
