#!/bin/bash
# GPT-3 175B on 64 devices.
GPUS_PER_NODE=8
NNODES=${NNODES:-8}
WORLD_SIZE=$(($GPUS_PER_NODE*$NNODES))
TP=8

DISTRIBUTED_ARGS=(
    --nproc_per_node $GPUS_PER_NODE
    --nnodes $NNODES
    --master_addr localhost
)
GPT_MODEL_ARGS=(
    --num-layers 96 --hidden-size 12288 --num-attention-heads 96
    --seq-length 2048 --max-position-embeddings 2048
    --vocab-size 51200   # of the tokenizer
    --hidden-dropout 0.1 --attention-dropout 0.1
)
TRAINING_ARGS="--micro-batch-size 1 --global-batch-size 64 \
    --bf16 --transformer-impl local --recompute-activations"
MODEL_PARALLEL_ARGS=(
    --tensor-model-parallel-size ${TP}
    --pipeline-model-parallel-size 8
    --num-layers-per-virtual-pipeline-stage 4
    --sequence-parallel
)
torchrun ${DISTRIBUTED_ARGS[@]} pretrain_gpt.py \
    ${GPT_MODEL_ARGS[@]} \
    ${TRAINING_ARGS} \
    ${MODEL_PARALLEL_ARGS[@]} \
    --log-throughput
