//! Where the runs of a sweep train: how many at a time on the CPU, on each GPU, and in all.

use fitch::device::DeviceChoice;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Where a run trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the CPU, or wherever its own options lead.
    Cpu,
    /// On the GPU of that index.
    Gpu(usize),
}

/// The places that are free.
#[derive(Clone, Debug)]
pub struct Places {
    in_all: usize,
    on_cpu: usize,
    /// By the index of the GPU.
    on_gpus: BTreeMap<usize, usize>,
}

impl Places {
    /// Places on the CPU and `per_gpu` on each of these GPUs, of which not more than `in_all` are used at a
    /// time.
    pub fn new(on_cpu: usize, gpus: &[usize], per_gpu: usize, in_all: usize) -> Places {
        Places { in_all, on_cpu, on_gpus: gpus.iter().map(|&index| (index, per_gpu)).collect() }
    }

    /// Takes a place for a run with that device: on the GPU that has the most free places, if it may choose.
    /// A run whose GPU is not there is one for the CPU, as it ends at once. None while there is no place.
    pub fn acquire(&mut self, device: DeviceChoice) -> Option<Place> {
        self.in_all.checked_sub(1)?;
        let gpu = match device {
            DeviceChoice::Cpu => None,
            DeviceChoice::Cuda(index) => self.on_gpus.contains_key(&index).then_some(index),
            DeviceChoice::Auto | DeviceChoice::AnyCuda => {
                // Of equal ones the lowest index.
                self.on_gpus.iter().min_by_key(|(_, free)| Reverse(**free)).map(|(index, _)| *index)
            }
        };
        let place = gpu.map_or(Place::Cpu, Place::Gpu);
        let free = self.free(place);
        *free = free.checked_sub(1)?;
        self.in_all -= 1;
        Some(place)
    }

    /// Gives back the place of a run that has ended.
    pub fn release(&mut self, place: Place) {
        *self.free(place) += 1;
        self.in_all += 1;
    }

    fn free(&mut self, place: Place) -> &mut usize {
        match place {
            Place::Cpu => &mut self.on_cpu,
            Place::Gpu(index) => self.on_gpus.entry(index).or_default(),
        }
    }

    /// How many runs with these devices train at a time.
    pub fn at_a_time(&self, devices: impl IntoIterator<Item = DeviceChoice>) -> usize {
        let mut free = self.clone();
        devices.into_iter().filter(|device| free.acquire(*device).is_some()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::DeviceChoice::{AnyCuda, Auto, Cpu, Cuda};
    use super::*;

    const ANY_NUMBER: usize = usize::MAX / 2;

    fn acquired(places: &mut Places, devices: &[DeviceChoice]) -> Vec<Option<Place>> {
        devices.iter().map(|device| places.acquire(*device)).collect()
    }

    #[test]
    fn runs_spread_over_gpus_and_a_run_that_ends_frees_its_place() {
        let mut places = Places::new(2, &[0, 2], 1, ANY_NUMBER);
        let (first, second) = (Some(Place::Gpu(0)), Some(Place::Gpu(2)));
        assert_eq!(acquired(&mut places, &[Auto, AnyCuda, Auto]), [first, second, None]);
        places.release(Place::Gpu(2));
        assert_eq!(acquired(&mut places, &[Auto, Auto]), [second, None]);
    }

    #[test]
    fn several_runs_on_each_gpu_fill_all_gpus_evenly() {
        let mut places = Places::new(2, &[0, 1], 2, ANY_NUMBER);
        let order = [0, 1, 0, 1].map(|index| Some(Place::Gpu(index)));
        assert_eq!(acquired(&mut places, &[Auto; 4]), order);
        assert_eq!(places.acquire(Auto), None);
    }

    #[test]
    fn a_run_that_names_its_gpu_waits_for_it() {
        let mut places = Places::new(2, &[0, 1], 1, ANY_NUMBER);
        let taken = Some(Place::Gpu(1));
        assert_eq!(acquired(&mut places, &[Cuda(1), Cuda(1), Cuda(0)]), [taken, None, Some(Place::Gpu(0))]);
    }

    #[test]
    fn without_gpus_every_run_is_one_for_the_cpu() {
        let mut places = Places::new(3, &[], 1, 3);
        let on_cpu = Some(Place::Cpu);
        assert_eq!(acquired(&mut places, &[Auto, AnyCuda, Cuda(0), Cpu]), [on_cpu, on_cpu, on_cpu, None]);
    }

    #[test]
    fn runs_for_the_cpu_leave_gpus_to_others_and_a_missing_gpu_is_no_place() {
        let mut places = Places::new(1, &[0], 1, ANY_NUMBER);
        assert_eq!(
            acquired(&mut places, &[Cpu, Cuda(9), Auto]),
            [Some(Place::Cpu), None, Some(Place::Gpu(0))]
        );
    }

    #[test]
    fn the_bound_holds_for_all_places_together() {
        let mut places = Places::new(2, &[0, 1, 2], 2, 3);
        assert_eq!(places.at_a_time([Auto; 9]), 3);
        let on = |index| Some(Place::Gpu(index));
        assert_eq!(acquired(&mut places, &[Auto, Auto, Auto, Cpu]), [on(0), on(1), on(2), None]);
        places.release(Place::Gpu(1));
        assert_eq!(acquired(&mut places, &[Cpu, Cpu]), [Some(Place::Cpu), None]);
    }

    #[test]
    fn no_more_runs_are_at_work_than_there_are() {
        let places = Places::new(2, &[0, 1], 4, ANY_NUMBER);
        assert_eq!(places.at_a_time([Auto; 3]), 3);
        assert_eq!(places.at_a_time([Cpu, Cpu, Cpu, Cuda(1)]), 3);
    }
}
