#!/usr/bin/env bash
# RespireNet on a Slurm cluster. Once, on a login node, in a folder that all nodes see:
#
#   python3 -m venv YOUR-SHARED-FOLDER/venv                       # Python 3.11 or newer
#   YOUR-SHARED-FOLDER/venv/bin/pip install -c cluster/constraints.txt 'ray[default]' -e .
#   YOUR-SHARED-FOLDER/venv/bin/python cluster/data.py --data YOUR-SHARED-FOLDER/icbhi
#
# torch's wheels are built for CUDA 13: nodes need an NVIDIA driver of 580 or newer (nvidia-smi).
#
# Then, from the repository's root (which all nodes must see too):
#
#   sbatch cluster/slurm.sh --workers 4       # options of experiments/full.py
#   tail -f respire-JOB.log
#   scancel JOB                               # ends Ray, MLflow and the run
#
# The same sbatch again goes on where a job stopped, or where its time ran out.
#
# Look on, in a browser on this machine, through SSH. While a job runs, its log says how; else:
#   ssh -L 5000:127.0.0.1:5000 YOUR-LOGIN-NODE YOUR-SHARED-FOLDER/venv/bin/mlflow server \
#     --host 127.0.0.1 --port 5000 --workers 1 --artifacts-destination YOUR-SHARED-FOLDER/mlflow \
#     --backend-store-uri sqlite:///YOUR-SHARED-FOLDER/mlflow.db
#
# It costs what the job holds, nodes times hours, until the run ends, whether it uses all of them or
# not: ask for as many GPUs (nodes times gpus-per-node) as --workers, on one node where that can be had
# (README.md, How many workers). Results stay in the folder.
#
# Replace every YOUR-… (account, partition, folder). Nodes are shared with other users: Ray asks for a
# token made for this job, in a file that only you can read; MLflow's server asks whoever reaches the
# head node for nothing. One job at a time: two servers must not write one SQLite file over a network;
# with MLFLOW_TRACKING_URI set, the job uses that server and starts none.
#SBATCH --job-name=respire
#SBATCH --account=YOUR-ACCOUNT
#SBATCH --partition=YOUR-PARTITION
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --mem=128G
#SBATCH --time=12:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --output=respire-%j.log
set -euo pipefail

shared=YOUR-SHARED-FOLDER # an absolute path

if [[ $shared == YOUR-* ]]; then
  echo "cluster/slurm.sh: replace every YOUR-… in it first" >&2
  exit 2
fi
cd "$SLURM_SUBMIT_DIR"
# shellcheck disable=SC1091
. "$shared/venv/bin/activate"

export RESPIRE_STORAGE=${RESPIRE_STORAGE:-file://$shared/runs}
export RESPIRE_DATA=${RESPIRE_DATA:-$shared/icbhi}
export RESPIRE_GPU=required

# This script runs on the job's first node. Its first address, unless the nodes reach it by another.
head=$SLURMD_NODENAME
address=${RESPIRE_HEAD_ADDRESS:-$(hostname -I | cut -d' ' -f1)}
# Ports of this job's own, below those that the kernel hands out.
port=$((20000 + SLURM_JOB_ID % 2500 * 4))
ray_address=$address:$port
own_mlflow=http://$address:$((port + 2))
temporary=/tmp/ray-$SLURM_JOB_ID

export MLFLOW_TRACKING_URI=${MLFLOW_TRACKING_URI:-$own_mlflow}
export RAY_AUTH_MODE=token
export RAY_AUTH_TOKEN_PATH=$shared/.ray-token-$SLURM_JOB_ID

# Once on each node.
each=(--export=ALL --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_PER_TASK")
others=$((SLURM_JOB_NUM_NODES - 1))

# A command again and again until it succeeds, for five minutes.
wait_for() {
  local what=$1 deadline=$((SECONDS + 300))
  shift
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then
      echo "cluster/slurm.sh: waited in vain for $what" >&2
      return 1
    fi
    sleep 1
  done
}

end() {
  local status=$?
  trap - EXIT INT TERM
  jobs -p | xargs -r kill 2>/dev/null || true
  wait || true
  rm -f "$RAY_AUTH_TOKEN_PATH"
  srun "${each[@]}" --nodes="$SLURM_JOB_NUM_NODES" --ntasks="$SLURM_JOB_NUM_NODES" \
    rm -rf "$temporary" || true
  exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM # scancel, or a minute before the time is up

(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$RAY_AUTH_TOKEN_PATH")

srun "${each[@]}" --nodes=1 --ntasks=1 --nodelist="$head" \
  ray start --head --block --node-ip-address="$address" --port="$port" \
  --include-dashboard=false --ray-client-server-port=$((port + 1)) \
  --num-cpus="$SLURM_CPUS_PER_TASK" --temp-dir="$temporary" --disable-usage-stats &
wait_for "Ray's head" ray health-check --address "$ray_address"

if ((others > 0)); then
  srun "${each[@]}" --nodes="$others" --ntasks="$others" --exclude="$head" \
    ray start --block --address="$ray_address" \
    --num-cpus="$SLURM_CPUS_PER_TASK" --temp-dir="$temporary" --disable-usage-stats &
fi

if [[ $MLFLOW_TRACKING_URI == "$own_mlflow" ]]; then
  mlflow server --host "$address" --port $((port + 2)) --workers 1 \
    --allowed-hosts "$address:$((port + 2)),127.0.0.1:*,localhost:*" \
    --backend-store-uri "sqlite:///$shared/mlflow.db" --artifacts-destination "$shared/mlflow" \
    >"$shared/mlflow.log" 2>&1 &
  wait_for "MLflow's server, see $shared/mlflow.log" curl -sf "$MLFLOW_TRACKING_URI/health"
  echo "MLflow: ssh -L 5000:$address:$((port + 2)) YOUR-LOGIN-NODE, then http://127.0.0.1:5000"
fi

export RAY_ADDRESS=$ray_address
python - "$SLURM_JOB_NUM_NODES" <<'PYTHON'
import logging, sys, time
import ray

ray.init(logging_level=logging.ERROR)
deadline = time.monotonic() + 300
while (there := sum(node["Alive"] for node in ray.nodes())) < int(sys.argv[1]):
    if time.monotonic() > deadline:
        sys.exit(f"cluster/slurm.sh: of {sys.argv[1]} nodes only {there} joined")
    time.sleep(1)
PYTHON

# In the background, so that a signal is heard at once.
python experiments/full.py "$@" &
wait $!
