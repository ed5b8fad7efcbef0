"""The equations of the three papers, patient by patient and visit by visit, in loops over copied weights."""

import numpy as np


def copy_weights(model):
    return {name: tensor.detach().double().numpy() for name, tensor in model.named_parameters()}


def bags_of(batch, row):
    """Codes of each slot of one patient, as lists."""
    slots, codes = batch["visit_ids"][row].tolist(), batch["input_ids"][row].tolist()
    count = int((batch["visit_days"][row] >= 0).sum())
    return [[code for code, slot in zip(codes, slots, strict=True) if slot == step] for step in range(count)]


def steps_of(batch, row, weights, patient_slot):
    """`W x_j` for every step, x_j a multi-hot vector that is written out, and `log(1 + days since the last visit)`."""
    table = weights["recurrent.embeddings.code_embeddings.weight"]
    bags = bags_of(batch, row)
    if patient_slot == "every_visit":
        bags = [bags[0], *(bag + bags[0] for bag in bags[1:])]
    sums = []
    for bag in bags:
        multi_hot = np.zeros(len(table))
        for code in bag:
            multi_hot[code] += 1
        sums.append(table.T @ multi_hot)
    days = batch["visit_days"][row].tolist()
    gaps = [0.0] + [np.log(1 + days[step] - days[step - 1]) for step in range(1, len(bags))]
    return sums, gaps


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def softmax(scores):
    exponentials = [np.exp(score - max(scores)) for score in scores]
    return [value / sum(exponentials) for value in exponentials]


def gru(inputs, weights, prefix, layers=1):
    """GRU: z and r gates, candidate tanh(W x + r * U h), h = z * h + (1 - z) * candidate (Choi et al., 2016)."""
    for layer in range(layers):
        w_r, w_z, w_h = np.split(weights[f"{prefix}.weight_ih_l{layer}"], 3)
        u_r, u_z, u_h = np.split(weights[f"{prefix}.weight_hh_l{layer}"], 3)
        b_r, b_z, b_h = np.split(weights[f"{prefix}.bias_ih_l{layer}"], 3)
        # The papers have one bias per gate; torch adds one inside the reset gate.
        c_r, c_z, c_h = np.split(weights[f"{prefix}.bias_hh_l{layer}"], 3)
        state, states = np.zeros(len(b_r)), []
        for vector in inputs:
            r = sigmoid(w_r @ vector + u_r @ state + b_r + c_r)
            z = sigmoid(w_z @ vector + u_z @ state + b_z + c_z)
            candidate = np.tanh(w_h @ vector + b_h + r * (u_h @ state + c_h))
            state = z * state + (1 - z) * candidate
            states.append(state)
        inputs = states
    return inputs


def with_gaps(vectors, gaps, reads_gaps):
    return [np.append(vector, gap) for vector, gap in zip(vectors, gaps, strict=True)] if reads_gaps else vectors


def doctor_ai(batch, row, weights, config):
    """`h_i = GRU([tanh(W_emb x_i + b_emb), d_i])`, and the prediction from the last state."""
    sums, gaps = steps_of(batch, row, weights, config.patient_slot)
    embedded = [np.tanh(total + weights["recurrent.encoder.embedding_bias"]) for total in sums]
    inputs = with_gaps(embedded, gaps, config.reads_gaps)
    return gru(inputs, weights, "recurrent.encoder.forward_gru.gru", config.num_hidden_layers)[-1], None


def dipole(batch, row, weights, config):
    """Ma et al., 2017: a bidirectional GRU, a score per earlier visit, context c_t and tanh(W_c [c_t; h_t])."""
    encoder = "recurrent.encoder"
    sums, gaps = steps_of(batch, row, weights, config.patient_slot)
    embedded = [np.maximum(0, total + weights[f"{encoder}.embedding_bias"]) for total in sums]
    inputs = with_gaps(embedded, gaps, config.reads_gaps)
    layers = config.num_hidden_layers
    ahead = gru(inputs, weights, f"{encoder}.forward_gru.gru", layers)
    back = gru(inputs[::-1], weights, f"{encoder}.backward_gru.gru", layers)[::-1]
    states = [np.concatenate(pair) for pair in zip(ahead, back, strict=True)]
    last, scores = states[-1], []
    for state in states[:-1]:
        if config.attention == "location":
            scores.append((weights[f"{encoder}.score.weight"] @ state + weights[f"{encoder}.score.bias"])[0])
        elif config.attention == "general":
            scores.append(last @ weights[f"{encoder}.score.weight"] @ state)
        else:
            hidden = np.tanh(weights[f"{encoder}.pair.weight"] @ np.concatenate([last, state]))
            scores.append((weights[f"{encoder}.score.weight"] @ hidden)[0])
    alpha = softmax(scores) if scores else []
    context = np.zeros_like(last)
    for weight, state in zip(alpha, states, strict=False):
        context += weight * state
    return np.tanh(weights[f"{encoder}.combine.weight"] @ np.concatenate([context, last])), [*alpha, 0.0]


def retain(batch, row, weights, config):
    """Choi et al., 2016: alpha and beta from GRUs that run backward in time, c = sum_j alpha_j beta_j * v_j."""
    alpha, betas, vectors = retain_weights(batch, row, weights, config)
    context = np.zeros_like(vectors[0])
    for weight, beta, vector in zip(alpha, betas, vectors, strict=True):
        context += weight * beta * vector
    return context, alpha


def retain_weights(batch, row, weights, config):
    encoder = "recurrent.encoder"
    vectors, gaps = steps_of(batch, row, weights, config.patient_slot)
    inputs = with_gaps(vectors, gaps, config.reads_gaps)[::-1]
    g = gru(inputs, weights, f"{encoder}.alpha_gru.gru", config.num_hidden_layers)[::-1]
    h = gru(inputs, weights, f"{encoder}.beta_gru.gru", config.num_hidden_layers)[::-1]
    alpha = softmax(
        [(weights[f"{encoder}.alpha.weight"] @ state + weights[f"{encoder}.alpha.bias"])[0] for state in g]
    )
    betas = [np.tanh(weights[f"{encoder}.beta.weight"] @ state + weights[f"{encoder}.beta.bias"]) for state in h]
    return alpha, betas, vectors


EQUATIONS = {"doctor_ai": doctor_ai, "dipole": dipole, "retain": retain}
